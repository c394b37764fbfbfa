/* SPDX-License-Identifier: MIT */
/* full.c - all of a buffer, where one call may move a part; see file.h and socket.h. */
#include <limits.h>
#include <sys/socket.h>

#include "weir/file.h"
#include "weir/socket.h"

/* Where the next part belongs. */
static int64_t position(bool at, int64_t offset, size_t done)
{
	return at ? offset + (int64_t)done : -1;
}

WEIR_CO(weir_read_full, self, op)
{
	int n;

	n = self->len > INT_MAX ? -EINVAL : 1;
	while (n > 0 && self->done < self->len) {
		WEIR_AWAIT(n, weir_read(op, self->fd, (char *)self->buf + self->done,
					self->len - self->done,
					position(self->at, self->offset, self->done)));
		if (n > 0)
			self->done += (size_t)n;
	}
	WEIR_RETURN(n < 0 ? n : (int)self->done);
}
WEIR_END

/* A write of 0 bytes, where some were to be written, would go on for ever. */
WEIR_CO(weir_write_all, self, op)
{
	int n;

	n = self->len > INT_MAX ? -EINVAL : 1;
	while (n > 0 && self->done < self->len) {
		WEIR_AWAIT(n, weir_write(op, self->fd, (const char *)self->buf + self->done,
					 self->len - self->done,
					 position(self->at, self->offset, self->done)));
		if (n == 0)
			n = -EIO;
		if (n > 0)
			self->done += (size_t)n;
	}
	WEIR_RETURN(n < 0 ? n : (int)self->done);
}
WEIR_END

WEIR_CO(weir_send_all, self, op)
{
	int n;

	n = self->len > INT_MAX ? -EINVAL : 1;
	while (n > 0 && self->done < self->len) {
		WEIR_AWAIT(n, weir_send(op, self->fd, (const char *)self->buf + self->done,
					self->len - self->done, self->flags));
		if (n == 0)
			n = -EIO;
		if (n > 0)
			self->done += (size_t)n;
	}
	WEIR_RETURN(n < 0 ? n : (int)self->done);
}
WEIR_END
