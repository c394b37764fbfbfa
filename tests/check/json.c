/* SPDX-License-Identifier: MIT */
/*
 * json.c - what weir_dump_json() writes is JSON, and says what weir_dump() does.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct ints ch;
static char said[1 << 20];

static const char *dump(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(weir_dump_json(loop, fd), 0);
	n = pread(fd, said, sizeof said - 1, 0);
	ck_assert_int_ge(n, 0);
	said[n] = '\0';
	close(fd);
	return said;
}

static void ck_says(const char *text)
{
	ck_assert_msg(strstr(said, text), "no %s in:\n%s", text, said);
}

/* ---- is it JSON? Each returns what follows, NULL if it is not. ---- */

static const char *space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

static const char *string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < ' ')
			return NULL;
		if (*p == '\\' && !strchr("\"\\/bfnrtu", *++p))
			return NULL;
		if (p[-1] == '\\' && *p == 'u' && strspn(p + 1, "0123456789abcdef") < 4)
			return NULL;
	}
	return p + 1;
}

static const char *value(const char *p);

static const char *list(const char *p, char end, bool named)
{
	p = space(p + 1);
	if (*p == end)
		return p + 1;
	for (;;) {
		if (named) {
			p = string(p);
			if (!p || *(p = space(p)) != ':')
				return NULL;
			p = space(p + 1);
		}
		p = value(p);
		if (!p)
			return NULL;
		p = space(p);
		if (*p == end)
			return p + 1;
		if (*p != ',')
			return NULL;
		p = space(p + 1);
	}
}

static const char *value(const char *p)
{
	if (*p == '{')
		return list(p, '}', true);
	if (*p == '[')
		return list(p, ']', false);
	if (*p == '"')
		return string(p);
	return isdigit((unsigned char)*p) ? p + strspn(p, "0123456789") : NULL;
}

static void ck_assert_json(const char *text)
{
	const char *end = value(text);

	ck_assert_msg(end && !*space(end), "no JSON:\n%s", text);
}

/* ---- tasks ---- */

struct gets { struct weir_frame co; int item, rc; };
struct calls { struct weir_frame co; struct gets gets; int rc; };
struct selects { struct weir_frame co; struct weir_arm arm[2]; int item, rc; };
struct talks { struct weir_frame co; int rc; };

static WEIR_CO(gets, self, op)
{
	WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &self->item));
	WEIR_RETURN(self->rc);
}
WEIR_END

static WEIR_CO(calls, self, op)
{
	(void)op;
	WEIR_CALL(self->rc, self->gets, gets);
	WEIR_RETURN(self->rc);
}
WEIR_END

static WEIR_CO(selects, self, op)
{
	weir_ready(weir_chan_recv(&self->arm[0].op, &ch, &self->item));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_HOUR));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	WEIR_RETURN(self->rc);
}
WEIR_END

static WEIR_CO(talks, self, op)
{
	WEIR_AWAIT(self->rc, (void)"a \"quoted\" \\ text\n", weir_sleep(op, WEIR_HOUR));
	WEIR_RETURN(self->rc);
}
WEIR_END

static void begin(void)
{
	loop = test_loop();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 4), 0);
}

static void end(void)
{
	weir_group_cancel(weir_loop_group(loop), 0);
	weir_loop_run(loop);
	weir_chan_fini(&ch);
	test_loop_free(loop);
}

START_TEST(a_loop_without_tasks_is_an_empty_list)
{
	begin();
	ck_assert_json(dump());
	ck_says("\"tasks\":[]");
	end();
}
END_TEST

START_TEST(a_task_says_what_it_waits_for_and_all_its_frames)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), calls), 0);
	ck_assert_json(dump());
	ck_says("{\"task\":1,\"group\":\"its loop\",\"state\":\"new\",\"stack\":[],");
	weir_loop_dispatch(loop);
	ck_assert_json(dump());
	ck_says("\"state\":\"waits\",\"for\":\"chan recv\",\"on\":\"chan &ch made at json.c:");
	ck_says(": 0 of 4 items, 1 receiver waits\",\"stack\":[\n   {\"func\":\"gets\",");
	ck_says("\"text\":\"weir_chan_recv(op, &ch, &self->item)\"},\n   {\"func\":\"calls\",");
	ck_says("\"text\":\"gets()\"}],\n  \"spawned\":{\"func\":\"a_task_says_what_it_waits_");
	end();
}
END_TEST

START_TEST(a_task_that_nobody_wrote_down_says_only_what_it_waits_for)
{
	struct gets frame = { 0 };

	begin();
	ck_assert_int_eq(weir_spawn(weir_loop_group(loop), gets, &frame, sizeof frame, NULL, NULL),
			 0);
	weir_loop_dispatch(loop);
	ck_assert_json(dump());
	ck_says("\"for\":\"chan recv\"");
	ck_assert_ptr_null(strstr(dump(), "\"spawned\""));
	end();
}
END_TEST

START_TEST(a_select_says_its_arms)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), selects), 0);
	weir_loop_dispatch(loop);
	ck_assert_json(dump());
	ck_says("\"for\":\"select\",\"arms\":[\n   {\"for\":\"chan recv\",\"on\":\"chan &ch made ");
	ck_says("receiver waits\"},\n   {\"for\":\"sleep\"}],\"stack\":[");
	end();
}
END_TEST

START_TEST(what_json_does_not_allow_in_a_string_is_escaped)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), talks), 0);
	weir_loop_dispatch(loop);
	ck_assert_json(dump());
	ck_says("\\\"a \\\\\\\"quoted\\\\\\\" \\\\\\\\ text\\\\n\\\"");
	end();
}
END_TEST

START_TEST(a_dump_longer_than_the_buffer_is_whole)
{
	unsigned i;

	begin();
	for (i = 0; i < 500; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), calls), 0);
	weir_loop_dispatch(loop);
	ck_assert_json(dump());
	ck_says("{\"task\":500,");
	end();
}
END_TEST

START_TEST(a_write_that_fails_is_the_result)
{
	begin();
	ck_assert_int_eq(weir_dump_json(loop, -1), -EBADF);
	end();
}
END_TEST

TESTS("json",
      a_loop_without_tasks_is_an_empty_list,
      a_task_says_what_it_waits_for_and_all_its_frames,
      a_task_that_nobody_wrote_down_says_only_what_it_waits_for,
      a_select_says_its_arms,
      what_json_does_not_allow_in_a_string_is_escaped,
      a_dump_longer_than_the_buffer_is_whole,
      a_write_that_fails_is_the_result)
