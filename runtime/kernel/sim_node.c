/* SPDX-License-Identifier: MIT */
/*
 * sim_node.c - the simulated kernel's descriptors, and what an operation does to the thing behind
 * one: files and directories, timers here; pipes and sockets in sim_stream.c; what is not ours is
 * asked of Linux, without waiting.
 *
 * The file system is a set of absolute paths.  "/" is its root and everybody's current directory;
 * "." and ".." are not understood, and there are no links and no permissions.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/alloc.h"
#include "kernel/backend.h"
#include "kernel/direct.h"
#include "kernel/sim_node.h"

#define DESCS_FIRST 64
#define DESCS_MAX (1 << 16)
#define PATH_BYTES 1024
#define OWN_OFFSET UINT64_MAX /* in an entry's off: the description's own */

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

/* ---- descriptors ---- */

struct sim_desc *weir_sim_desc_(const struct sim *s, int fd)
{
	return fd >= 0 && (size_t)fd < s->n_desc ? s->desc[fd] : NULL;
}

static bool table_holds(struct sim *s, int fd)
{
	size_t n = s->n_desc ? s->n_desc : DESCS_FIRST;
	struct sim_desc **desc;

	if ((size_t)fd < s->n_desc)
		return true;
	while (n <= (size_t)fd)
		n *= 2;
	desc = n > DESCS_MAX ? NULL : weir_zalloc_(n, sizeof *desc);
	if (!desc)
		return false;
	if (s->desc)
		memcpy(desc, s->desc, s->n_desc * sizeof *desc);
	weir_free_(s->desc);
	s->desc = desc;
	s->n_desc = n;
	return true;
}

/* The number is a real one, so that no other descriptor of the process has it. */
int weir_sim_open_(struct sim *s, struct sim_node *node, int flags)
{
	int fd = fcntl(s->base, F_DUPFD_CLOEXEC, 0);
	struct sim_desc *d;

	if (fd < 0)
		return -errno;
	d = table_holds(s, fd) ? weir_zalloc_(1, sizeof *d) : NULL;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	*d = (struct sim_desc){ .node = node, .flags = flags };
	node->refs++;
	s->desc[fd] = d;
	s->stats.open++;
	return fd;
}

int weir_sim_no_fd_(const struct sim *s)
{
	int fd = fcntl(s->base, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int weir_sim_close_(struct sim *s, int fd)
{
	struct sim_desc *d = weir_sim_desc_(s, fd);

	if (!d)
		return weir_direct_close_(fd);
	s->desc[fd] = NULL;
	s->stats.open--;
	weir_sim_stream_close_(d);
	weir_sim_node_unref_(d->node);
	weir_free_(d);
	return weir_direct_close_(fd);
}

/* ---- nodes ---- */

struct sim_node *weir_sim_node_new_(struct sim *s, int kind)
{
	struct sim_node *n = weir_zalloc_(1, sizeof *n);

	if (!n)
		return NULL;
	n->kind = kind;
	n->refs = 1;
	weir_list_append_(&s->nodes, &n->link);
	return n;
}

void weir_sim_node_unref_(struct sim_node *n)
{
	if (--n->refs)
		return;
	weir_list_remove_(&n->link);
	switch (n->kind) {
	case SIM_FILE:
	case SIM_DIR:
		weir_free_(n->u.file.path);
		weir_free_(n->u.file.data);
		break;
	case SIM_PIPE:
	case SIM_SOCKET:
		weir_sim_stream_fini_(n);
		break;
	case SIM_TIMER:
		break;
	}
	weir_free_(n);
}

/* A name is a reference too: closing all descriptors first leaves those. */
void weir_sim_nodes_free_(struct sim *s)
{
	size_t fd;

	for (fd = 0; fd < s->n_desc; fd++)
		if (s->desc[fd])
			weir_sim_close_(s, (int)fd);
	while (!weir_list_empty_(&s->nodes))
		weir_sim_node_unref_(weir_container_of(s->nodes.next, struct sim_node, link));
	weir_free_(s->desc);
}

/* ---- paths ---- */

static bool is_file(const struct sim_node *n)
{
	return n->kind == SIM_FILE || n->kind == SIM_DIR;
}

static struct sim_node *find(const struct sim *s, const char *path)
{
	struct weir_list *l;

	for (l = s->nodes.next; l != &s->nodes; l = l->next) {
		struct sim_node *n = weir_container_of(l, struct sim_node, link);

		if (is_file(n) && n->u.file.path && !strcmp(n->u.file.path, path))
			return n;
	}
	return NULL;
}

/* Whether what path leads through is there, all of it directories. */
static int walk(const struct sim *s, const char *path)
{
	char dir[PATH_BYTES];
	const struct sim_node *n;
	int rc;

	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	if (!*dir)
		return 0;
	n = find(s, dir);
	if (n)
		return n->kind == SIM_DIR ? 0 : -ENOTDIR;
	rc = walk(s, dir);
	return rc < 0 ? rc : -ENOENT;
}

/* Each run of slashes is one.  True: there were some at the end, and now there are not. */
static bool trim(char *path)
{
	char *from, *to = path;
	bool slash = false;

	for (from = path; *from; from++)
		if (from[0] != '/' || from[1] != '/')
			*to++ = *from;
	if (to > path && to[-1] == '/') {
		to--;
		slash = true;
	}
	*to = '\0';
	return slash;
}

/* The absolute path in buf, of PATH_BYTES, without a slash at its end; the root is "".  What it
 * leads through is there. */
static int resolve(const struct sim *s, int dirfd, const char *path, char *buf)
{
	const struct sim_desc *d = weir_sim_desc_(s, dirfd);
	const struct sim_node *n;
	const char *dir = "";

	if (*path != '/' && dirfd != AT_FDCWD) {
		if (!d)
			return -EBADF;
		if (d->node->kind != SIM_DIR)
			return -ENOTDIR;
		if (!d->node->u.file.path)
			return -ENOENT;
		dir = d->node->u.file.path;
	}
	if (!*path)
		return -ENOENT;
	if (snprintf(buf, PATH_BYTES, "%s/%s", dir, path) >= PATH_BYTES)
		return -ENAMETOOLONG;
	if (trim(buf)) {
		n = find(s, buf);
		if (n && n->kind == SIM_FILE)
			return -ENOTDIR;
	}
	return *buf ? walk(s, buf) : 0;
}

static struct sim_node *make(struct sim *s, const char *path, int kind, unsigned mode)
{
	struct sim_node *n = weir_sim_node_new_(s, kind);
	size_t size = strlen(path) + 1;

	if (!n)
		return NULL;
	n->u.file.mode = mode & 07777;
	n->u.file.path = weir_alloc_(size);
	if (!n->u.file.path) {
		weir_sim_node_unref_(n);
		return NULL;
	}
	memcpy(n->u.file.path, path, size);
	return n;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static bool has_children(const struct sim *s, const char *path)
{
	struct weir_list *l;

	for (l = s->nodes.next; l != &s->nodes; l = l->next) {
		struct sim_node *n = weir_container_of(l, struct sim_node, link);

		if (is_file(n) && n->u.file.path && is_below(n->u.file.path, path))
			return true;
	}
	return false;
}

static void unlink_node(struct sim_node *n)
{
	weir_free_(n->u.file.path);
	n->u.file.path = NULL;
	weir_sim_node_unref_(n);
}

static int open_root(struct sim *s, int flags)
{
	struct sim_node *n = find(s, "");
	int fd;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	if (!n)
		n = make(s, "", SIM_DIR, 0755);
	fd = n ? weir_sim_open_(s, n, O_RDONLY) : -ENOMEM;
	return fd;
}

static int do_open(struct sim *s, int dirfd, const char *name, int flags, unsigned mode)
{
	char path[PATH_BYTES];
	struct sim_node *n;
	int rc = resolve(s, dirfd, name, path);

	if (rc < 0)
		return rc;
	if (!*path)
		return open_root(s, flags);
	n = find(s, path);
	if (!n && !(flags & O_CREAT))
		return -ENOENT;
	if (!n) {
		if (name[strlen(name) - 1] == '/')
			return -EISDIR;
		n = make(s, path, SIM_FILE, mode);
		return n ? weir_sim_open_(s, n, flags) : -ENOMEM;
	}
	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (n->kind == SIM_DIR && ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT))
		return -EISDIR;
	if (n->kind == SIM_FILE && flags & O_DIRECTORY)
		return -ENOTDIR;
	if (flags & O_TRUNC && n->kind == SIM_FILE)
		n->u.file.len = 0;
	return weir_sim_open_(s, n, flags);
}

static int do_unlink(struct sim *s, int dirfd, const char *name, int flags)
{
	char path[PATH_BYTES];
	struct sim_node *n;
	int rc = resolve(s, dirfd, name, path);

	if (rc < 0)
		return rc;
	n = find(s, path);
	if (!n)
		return -ENOENT;
	if (n->kind == SIM_DIR && !(flags & AT_REMOVEDIR))
		return -EISDIR;
	if (n->kind == SIM_FILE && flags & AT_REMOVEDIR)
		return -ENOTDIR;
	if (has_children(s, path))
		return -ENOTEMPTY;
	unlink_node(n);
	return 0;
}

/* The names below a directory that is renamed are not followed: -EBUSY, as for a mount point. */
static int do_rename(struct sim *s, int from_dir, const char *from, int to_dir, const char *to,
		     unsigned flags)
{
	char old[PATH_BYTES], new[PATH_BYTES], *copy;
	struct sim_node *n, *there;
	int rc = resolve(s, from_dir, from, old);

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	rc = rc < 0 ? rc : resolve(s, to_dir, to, new);
	if (rc < 0)
		return rc;
	n = find(s, old);
	there = find(s, new);
	if (!n)
		return *old ? -ENOENT : -EBUSY;
	if (there && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (is_below(new, old))
		return -EINVAL;
	if (is_below(old, new))
		return -ENOTEMPTY;
	if (n == there)
		return 0;
	if (there && there->kind != n->kind)
		return n->kind == SIM_DIR ? -ENOTDIR : -EISDIR;
	if (there && has_children(s, new))
		return -ENOTEMPTY;
	if (n->kind == SIM_DIR && has_children(s, old))
		return -EBUSY;
	copy = weir_alloc_(strlen(new) + 1);
	if (!copy)
		return -ENOMEM;
	strcpy(copy, new);
	if (there)
		unlink_node(there);
	weir_free_(n->u.file.path);
	n->u.file.path = copy;
	return 0;
}

static int do_mkdir(struct sim *s, int dirfd, const char *name, unsigned mode)
{
	char path[PATH_BYTES];
	int rc = resolve(s, dirfd, name, path);

	if (rc < 0)
		return rc;
	if (!*path || find(s, path))
		return -EEXIST;
	return make(s, path, SIM_DIR, mode) ? 0 : -ENOMEM;
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
	if (!is_file(n))
		return;
	st->stx_mode |= (uint16_t)n->u.file.mode;
	st->stx_nlink = n->u.file.path != NULL;
	st->stx_size = n->u.file.len;
}

static int do_statx(struct sim *s, int dirfd, const char *name, int flags, struct statx *st)
{
	const struct sim_desc *d = weir_sim_desc_(s, dirfd);
	char path[PATH_BYTES];
	const struct sim_node *n;
	int rc;

	if (!*name && flags & AT_EMPTY_PATH) {
		if (dirfd == AT_FDCWD)
			return do_statx(s, dirfd, "/", 0, st);
		if (!d)
			return -EBADF;
		fill_statx(d->node, st);
		return 0;
	}
	rc = resolve(s, dirfd, name, path);
	if (rc < 0)
		return rc;
	n = find(s, path);
	if (!n && *path)
		return -ENOENT;
	fill_statx(n ? n : &(struct sim_node){ .kind = SIM_DIR, .u.file.mode = 0755 }, st);
	return 0;
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

/* ---- timers ---- */

static int timer_read(const struct sim *s, struct sim_node *n, const struct io_uring_sqe *sqe)
{
	uint64_t count = 1;

	if (sqe->len < sizeof count)
		return -EINVAL;
	if (n->u.timer.period) {
		count += (s->now - n->u.timer.due) / n->u.timer.period;
		n->u.timer.due += count * n->u.timer.period;
	} else {
		n->u.timer.due = WEIR_FOREVER;
	}
	memcpy(pointer(sqe->addr), &count, sizeof count);
	return sizeof count;
}

int weir_sim_timer_new_(struct sim *s)
{
	struct sim_node *n = weir_sim_node_new_(s, SIM_TIMER);
	int fd;

	if (!n)
		return -ENOMEM;
	n->u.timer.due = WEIR_FOREVER;
	fd = weir_sim_open_(s, n, O_RDONLY);
	weir_sim_node_unref_(n);
	return fd;
}

int weir_sim_timer_set_(struct sim *s, int fd, uint64_t due, uint64_t period)
{
	struct sim_desc *d = weir_sim_desc_(s, fd);

	if (!d || d->node->kind != SIM_TIMER)
		return -EBADF;
	d->node->u.timer.due = due;
	d->node->u.timer.period = period;
	return 0;
}

uint64_t weir_sim_expiry_(const struct sim *s, const struct sim_req *r)
{
	const struct sim_desc *d = weir_sim_desc_(s, r->sqe.fd);

	if (!d || d->node->kind != SIM_TIMER || !(weir_sim_events_(r) & POLLIN))
		return WEIR_FOREVER;
	return d->node->u.timer.due;
}

/* ---- descriptors of Linux's ---- */

static bool has_path(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_STATX:
	case IORING_OP_UNLINKAT:
	case IORING_OP_RENAMEAT:
	case IORING_OP_MKDIRAT:
	case IORING_OP_SOCKET:
		return true;
	default:
		return false;
	}
}

bool weir_sim_foreign_(const struct sim *s, const struct sim_req *r)
{
	return r->sqe.fd >= 0 && !has_path(&r->sqe) && !weir_sim_desc_(s, r->sqe.fd);
}

static uint32_t poll_events(const struct io_uring_sqe *sqe)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return sqe->poll32_events << 16 | sqe->poll32_events >> 16;
#else
	return sqe->poll32_events;
#endif
}

short weir_sim_events_(const struct sim_req *r)
{
	switch (r->sqe.opcode) {
	case IORING_OP_POLL_ADD:
		return (short)poll_events(&r->sqe);
	case IORING_OP_READ:
	case IORING_OP_RECV:
	case IORING_OP_ACCEPT:
		return POLLIN;
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
		return POLLOUT;
	default:
		return 0;
	}
}

bool weir_sim_impatient_(const struct io_uring_sqe *sqe)
{
	return (sqe->opcode == IORING_OP_RECV || sqe->opcode == IORING_OP_SEND) &&
		sqe->msg_flags & MSG_DONTWAIT;
}

static bool foreign_can(const struct sim_req *r)
{
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };

	return !p.events || weir_sim_impatient_(&r->sqe) || poll(&p, 1, 0) != 0;
}

static int foreign_poll(const struct sim_req *r)
{
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };
	int n = poll(&p, 1, 0);

	return n < 0 ? -errno : p.revents & POLLNVAL ? -EBADF
						     : p.revents;
}

/* Another thread may have been quicker: then it is not to wait, and -EAGAIN is the result, which
 * the backend knows how to take. */
static int foreign_do(const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	struct iovec v = { pointer(q->addr), q->len };
	ssize_t n;

	switch (q->opcode) {
	case IORING_OP_POLL_ADD:
		return foreign_poll(r);
	case IORING_OP_READ:
		n = preadv2(q->fd, &v, 1, (off_t)q->off, RWF_NOWAIT);
		if (n < 0 && errno == ESPIPE)
			n = preadv2(q->fd, &v, 1, -1, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			n = readv(q->fd, &v, 1);
		break;
	case IORING_OP_WRITE:
		n = pwritev2(q->fd, &v, 1, (off_t)q->off, RWF_NOWAIT);
		if (n < 0 && errno == ESPIPE)
			n = pwritev2(q->fd, &v, 1, -1, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			n = writev(q->fd, &v, 1);
		break;
	case IORING_OP_RECV:
		n = recv(q->fd, v.iov_base, v.iov_len, (int)q->msg_flags | MSG_DONTWAIT);
		break;
	case IORING_OP_SEND:
		n = send(q->fd, v.iov_base, v.iov_len, (int)q->msg_flags | MSG_DONTWAIT);
		break;
	case IORING_OP_ACCEPT:
		n = accept4(q->fd, pointer(q->addr), pointer(q->addr2), (int)q->accept_flags);
		break;
	case IORING_OP_CONNECT:
		n = connect(q->fd, pointer(q->addr), (socklen_t)q->off);
		break;
	case IORING_OP_SHUTDOWN:
		n = shutdown(q->fd, (int)q->len);
		break;
	case IORING_OP_FSYNC:
		n = fsync(q->fd);
		break;
	default:
		return -EINVAL;
	}
	return n < 0 ? -errno : (int)n;
}

/* ---- operations ---- */

static bool is_stream(const struct sim_desc *d)
{
	return d->node->kind == SIM_PIPE || d->node->kind == SIM_SOCKET;
}

static unsigned ready(const struct sim *s, const struct sim_desc *d)
{
	if (is_stream(d))
		return weir_sim_stream_ready_(d);
	if (d->node->kind == SIM_TIMER)
		return d->node->u.timer.due <= s->now ? POLLIN : 0;
	return POLLIN | POLLOUT;
}

/* POLLERR and POLLHUP are told unasked. */
static unsigned polled(const struct sim *s, const struct sim_desc *d,
		       const struct io_uring_sqe *sqe)
{
	return ready(s, d) & (poll_events(sqe) | POLLERR | POLLHUP);
}

bool weir_sim_polls_ready_(const struct sim *s, const struct sim_req *r)
{
	const struct sim_desc *d = weir_sim_desc_(s, r->sqe.fd);
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };

	if (!d)
		return poll(&p, 1, 0) != 0;
	return ready(s, d) & ((unsigned)weir_sim_events_(r) | POLLERR | POLLHUP);
}

bool weir_sim_on_file_(const struct sim *s, const struct sim_req *r)
{
	const struct sim_desc *d = weir_sim_desc_(s, r->sqe.fd);

	return r->sqe.opcode != IORING_OP_SOCKET &&
		(has_path(&r->sqe) || (d && is_file(d->node)));
}

bool weir_sim_can_(struct sim *s, const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	const struct sim_desc *d = weir_sim_desc_(s, q->fd);

	if (has_path(q))
		return true;
	if (!d)
		return q->fd < 0 || foreign_can(r);
	if (q->opcode == IORING_OP_POLL_ADD)
		return polled(s, d, q) != 0;
	if (is_stream(d))
		return weir_sim_impatient_(q) || weir_sim_stream_can_(s, d, q);
	if (d->node->kind == SIM_TIMER && q->opcode == IORING_OP_READ)
		return d->node->u.timer.due <= s->now;
	return true;
}

static int do_path(struct sim *s, const struct io_uring_sqe *q)
{
	switch (q->opcode) {
	case IORING_OP_OPENAT:
		return do_open(s, q->fd, pointer(q->addr), (int)q->open_flags, q->len);
	case IORING_OP_STATX:
		return do_statx(s, q->fd, pointer(q->addr), (int)q->statx_flags, pointer(q->off));
	case IORING_OP_UNLINKAT:
		return do_unlink(s, q->fd, pointer(q->addr), (int)q->unlink_flags);
	case IORING_OP_RENAMEAT:
		return do_rename(s, q->fd, pointer(q->addr), (int)q->len, pointer(q->addr2),
				 q->rename_flags);
	case IORING_OP_MKDIRAT:
		return do_mkdir(s, q->fd, pointer(q->addr), q->len);
	default:
		return weir_sim_socket_(s, q->fd, (int)q->off);
	}
}

static int do_file(struct sim_desc *d, const struct io_uring_sqe *q)
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

static int do_timer(const struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *q)
{
	switch (q->opcode) {
	case IORING_OP_READ:
		return timer_read(s, d->node, q);
	case IORING_OP_WRITE:
	case IORING_OP_FSYNC:
		return -EINVAL;
	default:
		return -ENOTSOCK;
	}
}

int weir_sim_do_(struct sim *s, const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	struct sim_desc *d = weir_sim_desc_(s, q->fd);

	if (has_path(q))
		return do_path(s, q);
	if (q->fd < 0)
		return -EBADF;
	if (!d)
		return foreign_do(r);
	if (q->opcode == IORING_OP_POLL_ADD)
		return (int)polled(s, d, q);
	if (is_stream(d))
		return weir_sim_stream_do_(s, d, q);
	return is_file(d->node) ? do_file(d, q) : do_timer(s, d, q);
}

bool weir_sim_call_(struct sim *s, struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;
	const struct sim_desc *d = weir_sim_desc_(s, a->fd);

	switch (op->def->opcode) {
	case WEIR_KOP_PIPE:
		op->res = weir_sim_pipe_(s, pointer(a->addr));
		return true;
	case WEIR_KOP_BIND:
	case WEIR_KOP_LISTEN:
		if (!d)
			return weir_direct_(op);
		if (d->node->kind != SIM_SOCKET)
			op->res = -ENOTSOCK;
		else if (op->def->opcode == WEIR_KOP_BIND)
			op->res = weir_sim_bind_(s, d->node, pointer(a->addr), (socklen_t)a->off);
		else
			op->res = weir_sim_listen_(s, d->node, (int)a->len);
		return true;
	default:
		return false;
	}
}

/* ---- for tests ---- */

int weir_sim_file_(struct sim *s, const char *path, const void *data, size_t len)
{
	char dir[PATH_BYTES];
	const char *slash;
	struct sim_node *n;

	if (*path != '/' || strlen(path) >= sizeof dir)
		return -EINVAL;
	if (len > WEIR_SIM_FILE_MAX)
		return -ENOSPC;
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
		if (!find(s, dir) && !make(s, dir, SIM_DIR, 0755))
			return -ENOMEM;
	}
	if (find(s, path))
		return -EEXIST;
	n = make(s, path, SIM_FILE, 0644);
	if (!n)
		return -ENOMEM;
	if (len && !file_holds(n, len)) {
		unlink_node(n);
		return -ENOMEM;
	}
	if (len)
		memcpy(n->u.file.data, data, len);
	n->u.file.len = len;
	return 0;
}

int weir_sim_content_(struct sim *s, const char *path, void *buf, size_t size)
{
	const struct sim_node *n = find(s, path);

	if (!n)
		return -ENOENT;
	if (n->kind == SIM_DIR)
		return -EISDIR;
	if (n->u.file.len)
		memcpy(buf, n->u.file.data, size < n->u.file.len ? size : n->u.file.len);
	return (int)n->u.file.len;
}
