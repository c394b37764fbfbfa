/* SPDX-License-Identifier: MIT */
/*
 * sim_file.c - the simulated kernel's files and directories: names, and what is in a file.
 *
 * Each node below the root, "/", which is also everybody's current directory, has a parent and a
 * name in it, one only.  Without a name it is unlinked: still what its descriptors are open on, and
 * nothing can be made in it.  There are no links and no permissions.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/alloc.h"
#include "kernel/sim_node.h"

#define OWN_OFFSET UINT64_MAX /* in an entry's off: the description's own */

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

static bool is_dir(const struct sim_node *n)
{
	return n->kind == SIM_DIR;
}

/* ---- names ---- */

static struct sim_node *child(const struct sim *s, const struct sim_node *dir, const char *name,
			      size_t len)
{
	struct weir_list *l;

	for (l = s->nodes.next; l != &s->nodes; l = l->next) {
		struct sim_node *n = weir_container_of(l, struct sim_node, link);

		if (sim_is_file(n) && n->u.file.parent == dir && n->u.file.name &&
		    !strncmp(n->u.file.name, name, len) && !n->u.file.name[len])
			return n;
	}
	return NULL;
}

static bool has_children(const struct sim *s, const struct sim_node *dir)
{
	struct weir_list *l;

	for (l = s->nodes.next; l != &s->nodes; l = l->next) {
		const struct sim_node *n = weir_container_of(l, struct sim_node, link);

		if (sim_is_file(n) && n->u.file.parent == dir && n->u.file.name)
			return true;
	}
	return false;
}

static bool is_within(const struct sim_node *n, const struct sim_node *dir)
{
	while (n && n != dir)
		n = n->u.file.parent;
	return n;
}

static char *name_new(const char *name, size_t len)
{
	char *copy = weir_alloc_(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, name, len);
	copy[len] = '\0';
	return copy;
}

/* The name is the node's one reference. */
static struct sim_node *make(struct sim *s, struct sim_node *parent, int kind, const char *name,
			     size_t len, unsigned mode)
{
	struct sim_node *n = weir_sim_node_new_(s, kind);

	if (!n)
		return NULL;
	n->u.file.mode = mode & 07777;
	n->u.file.name = name_new(name, len);
	if (!n->u.file.name) {
		weir_sim_node_unref_(n);
		return NULL;
	}
	n->u.file.parent = parent;
	if (parent)
		parent->refs++;
	return n;
}

int weir_sim_root_(struct sim *s)
{
	s->root = make(s, NULL, SIM_DIR, "", 0, 0755);
	return s->root ? 0 : -ENOMEM;
}

void weir_sim_file_fini_(struct sim_node *n)
{
	weir_free_(n->u.file.name);
	weir_free_(n->u.file.data);
}

static void unlink_node(struct sim_node *n)
{
	weir_free_(n->u.file.name);
	n->u.file.name = NULL;
	weir_sim_node_unref_(n);
}

/* ---- paths ---- */

/* Where a path leads. */
struct place {
	struct sim_node *node; /* NULL: nothing is there yet */
	struct sim_node *dir;  /* in which it has, or would have, its name; */
	const char *name;      /* that: the last component, of len bytes, which may be a dot */
	size_t len;
	bool slash; /* behind it */
	enum {
		PLAIN,
		DOT,
		DOTDOT,
		ROOT
	} last;
};

static int kind_of(const char *name, size_t len)
{
	if (!len)
		return ROOT;
	if (*name != '.' || len > 2)
		return PLAIN;
	return len == 1 ? DOT : name[1] == '.' ? DOTDOT
					       : PLAIN;
}

/* Where a path that does not begin at the root begins. */
static int begin(const struct sim *s, int dirfd, struct sim_node **dir)
{
	const struct sim_desc *d = weir_sim_desc_(s, dirfd);

	*dir = s->root;
	if (dirfd == AT_FDCWD)
		return 0;
	if (!d)
		return -EBADF;
	*dir = d->node;
	return is_dir(d->node) ? 0 : -ENOTDIR;
}

/* One component further. */
static void step(const struct sim *s, struct place *p)
{
	p->dir = p->node;
	p->last = kind_of(p->name, p->len);
	if (p->last == PLAIN)
		p->node = child(s, p->dir, p->name, p->len);
	else if (p->last == DOTDOT && p->dir->u.file.parent)
		p->node = p->dir->u.file.parent;
}

/* Before anything is looked for. */
static int unfit(const char *path)
{
	if (!*path)
		return -ENOENT;
	return strlen(path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Results: 0, though there may be nothing at the place; what path leads through is. */
static int resolve(const struct sim *s, int dirfd, const char *path, struct place *p)
{
	int rc = unfit(path);

	*p = (struct place){ .node = s->root, .dir = s->root, .name = "", .last = ROOT };
	if (rc == 0 && *path != '/')
		rc = begin(s, dirfd, &p->node);
	if (rc < 0)
		return rc;
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		if (!p->node)
			return -ENOENT;
		if (!is_dir(p->node))
			return -ENOTDIR;
		p->name = path;
		p->len = strcspn(path, "/");
		if (p->len > NAME_MAX)
			return -ENAMETOOLONG;
		path += p->len;
		p->slash = *path == '/';
		step(s, p);
	}
	return 0;
}

/* A node of that name, where nothing is. */
static int create(struct sim *s, struct place *p, int kind, unsigned mode)
{
	if (!p->dir->u.file.name)
		return -ENOENT;
	p->node = make(s, p->dir, kind, p->name, p->len, mode);
	return p->node ? 0 : -ENOMEM;
}

static int open_there(struct sim *s, const struct place *p, int flags)
{
	struct sim_node *n = p->node;

	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (is_dir(n) && flags & O_CREAT)
		return -EISDIR;
	if (!is_dir(n) && (p->slash || flags & O_DIRECTORY))
		return -ENOTDIR;
	if (is_dir(n) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		return -EISDIR;
	if (flags & O_TRUNC)
		n->u.file.len = 0;
	return weir_sim_open_(s, n, flags);
}

/* Linux has a descriptor before it looks for the file. */
static int do_open(struct sim *s, int dirfd, const char *path, int flags, unsigned mode)
{
	struct place p;
	int rc = flags & O_CREAT && flags & O_DIRECTORY ? -EINVAL : unfit(path);

	rc = rc < 0 ? rc : weir_sim_no_fd_(s);
	rc = rc < 0 ? rc : resolve(s, dirfd, path, &p);
	if (rc < 0)
		return rc;
	if (flags & O_CREAT && p.last == PLAIN && p.slash)
		return -EISDIR;
	if (p.node)
		return open_there(s, &p, flags);
	rc = flags & O_CREAT ? create(s, &p, SIM_FILE, mode) : -ENOENT;
	return rc < 0 ? rc : weir_sim_open_(s, p.node, flags);
}

static int do_rmdir(const struct sim *s, const struct place *p)
{
	if (p->last != PLAIN)
		return p->last == DOT ? -EINVAL : p->last == DOTDOT ? -ENOTEMPTY
								    : -EBUSY;
	if (!p->node)
		return -ENOENT;
	if (!is_dir(p->node))
		return -ENOTDIR;
	if (has_children(s, p->node))
		return -ENOTEMPTY;
	unlink_node(p->node);
	return 0;
}

/* Why there is no file at the place; 0: there is one. */
static int no_file(const struct place *p)
{
	if (!p->node)
		return -ENOENT;
	if (is_dir(p->node))
		return -EISDIR;
	return p->slash ? -ENOTDIR : 0;
}

static int do_unlink(const struct sim *s, int dirfd, const char *path, int flags)
{
	struct place p;
	int rc = flags & ~AT_REMOVEDIR ? -EINVAL : resolve(s, dirfd, path, &p);

	if (rc < 0)
		return rc;
	if (flags)
		return do_rmdir(s, &p);
	if (p.last != PLAIN)
		return -EISDIR;
	rc = no_file(&p);
	if (rc == 0)
		unlink_node(p.node);
	return rc;
}

/* What stands against it, in the order in which Linux looks. */
static int no_rename(const struct sim *s, const struct place *from, const struct place *to,
		     unsigned flags)
{
	if (from->last != PLAIN)
		return -EBUSY;
	if (to->last != PLAIN)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!from->node)
		return -ENOENT;
	if (to->node && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!is_dir(from->node) && (from->slash || to->slash))
		return -ENOTDIR;
	if (is_within(to->dir, from->node))
		return -EINVAL;
	if (to->node && is_within(from->dir, to->node))
		return -ENOTEMPTY;
	if (!to->dir->u.file.name)
		return -ENOENT;
	if (!to->node || to->node == from->node)
		return 0;
	if (is_dir(to->node) != is_dir(from->node))
		return is_dir(from->node) ? -ENOTDIR : -EISDIR;
	return has_children(s, to->node) ? -ENOTEMPTY : 0;
}

static int do_rename(const struct sim *s, int from_dir, const char *from, int to_dir,
		     const char *to, unsigned flags)
{
	struct place old, new;
	struct sim_node *n, *parent;
	char *name;
	int rc = flags & ~(unsigned)RENAME_NOREPLACE ? -EINVAL : unfit(from);

	rc = rc < 0 ? rc : unfit(to);
	rc = rc < 0 ? rc : resolve(s, from_dir, from, &old);
	rc = rc < 0 ? rc : resolve(s, to_dir, to, &new);
	rc = rc < 0 ? rc : no_rename(s, &old, &new, flags);
	if (rc < 0 || old.node == new.node)
		return rc;
	name = name_new(new.name, new.len);
	if (!name)
		return -ENOMEM;
	if (new.node)
		unlink_node(new.node);
	n = old.node;
	parent = n->u.file.parent;
	weir_free_(n->u.file.name);
	n->u.file.name = name;
	n->u.file.parent = new.dir;
	new.dir->refs++;
	weir_sim_node_unref_(parent);
	return 0;
}

static int do_mkdir(struct sim *s, int dirfd, const char *path, unsigned mode)
{
	struct place p;
	int rc = resolve(s, dirfd, path, &p);

	if (rc < 0)
		return rc;
	return p.node ? -EEXIST : create(s, &p, SIM_DIR, mode);
}

static void fill_statx(const struct sim_node *n, struct statx *st)
{
	static const unsigned type[] = {
		[SIM_FILE] = S_IFREG,
		[SIM_DIR] = S_IFDIR,
		[SIM_PIPE] = S_IFIFO,
		[SIM_SOCKET] = S_IFSOCK,
		[SIM_TIMER] = 0,
	};

	memset(st, 0, sizeof *st);
	st->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_SIZE;
	st->stx_mode = (uint16_t)type[n->kind];
	st->stx_nlink = 1;
	if (!sim_is_file(n))
		return;
	st->stx_mode |= (uint16_t)n->u.file.mode;
	st->stx_nlink = n->u.file.name != NULL;
	st->stx_size = n->u.file.len;
}

static int do_statx(const struct sim *s, int dirfd, const char *path, int flags,
		    struct statx *st)
{
	const struct sim_desc *d = weir_sim_desc_(s, dirfd);
	struct place p;
	int rc;

	if (!*path && flags & AT_EMPTY_PATH) {
		if (!d && dirfd != AT_FDCWD)
			return weir_sim_foreign_statx_(dirfd, st);
		fill_statx(d ? d->node : s->root, st);
		return 0;
	}
	rc = resolve(s, dirfd, path, &p);
	if (rc < 0)
		return rc;
	if (!p.node)
		return -ENOENT;
	if (p.slash && !is_dir(p.node))
		return -ENOTDIR;
	fill_statx(p.node, st);
	return 0;
}

int weir_sim_name_(struct sim *s, const struct io_uring_sqe *q)
{
	const char *path = pointer(q->addr);

	switch (q->opcode) {
	case IORING_OP_OPENAT:
		return do_open(s, q->fd, path, (int)q->open_flags, q->len);
	case IORING_OP_STATX:
		return do_statx(s, q->fd, path, (int)q->statx_flags, pointer(q->off));
	case IORING_OP_UNLINKAT:
		return do_unlink(s, q->fd, path, (int)q->unlink_flags);
	case IORING_OP_RENAMEAT:
		return do_rename(s, q->fd, path, (int)q->len, pointer(q->addr2), q->rename_flags);
	default:
		return do_mkdir(s, q->fd, path, q->len);
	}
}

/* ---- what is in a file ---- */

static int file_read(struct sim_desc *d, const struct io_uring_sqe *sqe)
{
	uint64_t at = sqe->off == OWN_OFFSET ? d->at : sqe->off;
	size_t len = d->node->u.file.len, n = at < len ? len - at : 0;

	if (d->node->kind == SIM_DIR)
		return -EISDIR;
	if ((d->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	n = n < sqe->len ? n : sqe->len;
	if (n)
		memcpy(pointer(sqe->addr), d->node->u.file.data + at, n);
	if (sqe->off == OWN_OFFSET)
		d->at += n;
	return (int)n;
}

static bool file_holds(struct sim_node *n, size_t len)
{
	size_t room = n->u.file.room ? n->u.file.room : 256;
	char *data;

	if (len <= n->u.file.room)
		return true;
	while (room < len)
		room *= 2;
	data = weir_zalloc_(1, room);
	if (!data)
		return false;
	if (n->u.file.len)
		memcpy(data, n->u.file.data, n->u.file.len);
	weir_free_(n->u.file.data);
	n->u.file.data = data;
	n->u.file.room = room;
	return true;
}

static int file_write(struct sim_desc *d, const struct io_uring_sqe *sqe)
{
	struct sim_node *n = d->node;
	uint64_t at = sqe->off == OWN_OFFSET ? d->at : sqe->off;
	size_t end;

	if ((d->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (!sqe->len)
		return 0; /* not even a longer file */
	if (d->flags & O_APPEND)
		at = n->u.file.len;
	if (at >= WEIR_SIM_FILE_MAX || sqe->len > WEIR_SIM_FILE_MAX - at)
		return -ENOSPC;
	end = (size_t)at + sqe->len;
	if (!file_holds(n, end))
		return -ENOMEM;
	if (at > n->u.file.len)
		memset(n->u.file.data + n->u.file.len, 0, (size_t)at - n->u.file.len);
	memcpy(n->u.file.data + at, pointer(sqe->addr), sqe->len);
	n->u.file.len = end > n->u.file.len ? end : n->u.file.len;
	if (sqe->off == OWN_OFFSET)
		d->at = end;
	return (int)sqe->len;
}

int weir_sim_file_do_(struct sim_desc *d, const struct io_uring_sqe *q)
{
	switch (q->opcode) {
	case IORING_OP_READ:
		return file_read(d, q);
	case IORING_OP_WRITE:
		return file_write(d, q);
	case IORING_OP_FSYNC:
		return 0;
	default:
		return -ENOTSOCK;
	}
}

/* ---- for tests ---- */

/* The directories on the way to where path leads, as far as they are missing. */
static int make_way(struct sim *s, const char *path, struct place *p)
{
	struct place step;
	char way[PATH_MAX];
	const char *slash;
	int rc = unfit(path);

	for (slash = path; rc == 0 && (slash = strchr(slash + 1, '/'));) {
		snprintf(way, sizeof way, "%.*s", (int)(slash - path), path);
		rc = resolve(s, AT_FDCWD, way, &step);
		if (rc == 0 && !step.node)
			rc = create(s, &step, SIM_DIR, 0755);
	}
	return rc < 0 ? rc : resolve(s, AT_FDCWD, path, p);
}

int weir_sim_file_(struct sim *s, const char *path, const void *data, size_t len)
{
	struct place p;
	int rc;

	if (*path != '/')
		return -EINVAL;
	if (len > WEIR_SIM_FILE_MAX)
		return -ENOSPC;
	rc = make_way(s, path, &p);
	if (rc < 0)
		return rc;
	rc = p.node ? -EEXIST : create(s, &p, SIM_FILE, 0644);
	if (rc < 0)
		return rc;
	if (len && !file_holds(p.node, len)) {
		unlink_node(p.node);
		return -ENOMEM;
	}
	if (len)
		memcpy(p.node->u.file.data, data, len);
	p.node->u.file.len = len;
	return 0;
}

int weir_sim_content_(const struct sim *s, const char *path, void *buf, size_t size)
{
	struct place p;
	int rc = resolve(s, AT_FDCWD, path, &p);
	size_t n;

	if (rc == 0)
		rc = no_file(&p);
	if (rc < 0)
		return rc;
	n = p.node->u.file.len < size ? p.node->u.file.len : size;
	if (n)
		memcpy(buf, p.node->u.file.data, n);
	return (int)p.node->u.file.len;
}
