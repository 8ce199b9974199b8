#include "common/redis_url.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *text;
    enum redis_url_kind kind;
    const char *user, *password; // NULL: absent
    const char *described;       // hosts, ports, path, name and database in one
} good[] = {
    {"redis://localhost", REDIS_URL_TCP, NULL, NULL, "redis://localhost:6379/0"},
    {"redis://localhost/", REDIS_URL_TCP, NULL, NULL, "redis://localhost:6379/0"},
    {"redis://10.0.0.1:6380/15", REDIS_URL_TCP, NULL, NULL, "redis://10.0.0.1:6380/15"},
    {"REDIS://h", REDIS_URL_TCP, NULL, NULL, "redis://h:6379/0"},
    {"redis://my_redis-1.svc.local:1", REDIS_URL_TCP, NULL, NULL, "redis://my_redis-1.svc.local:1/0"},
    {"redis://h:65535/999999999", REDIS_URL_TCP, NULL, NULL, "redis://h:65535/999999999"},
    {"redis://[::1]:7000/2", REDIS_URL_TCP, NULL, NULL, "redis://[::1]:7000/2"},
    {"redis://[2001:db8::1]", REDIS_URL_TCP, NULL, NULL, "redis://[2001:db8::1]:6379/0"},
    {"redis://:secret@h", REDIS_URL_TCP, NULL, "secret", "redis://h:6379/0"},
    {"redis://me:secret@h:1/2", REDIS_URL_TCP, "me", "secret", "redis://h:1/2"},
    {"redis://me@h", REDIS_URL_TCP, "me", NULL, "redis://h:6379/0"},
    {"redis://me:@h", REDIS_URL_TCP, "me", "", "redis://h:6379/0"},
    {"redis://:@h", REDIS_URL_TCP, NULL, NULL, "redis://h:6379/0"},
    {"redis://@h", REDIS_URL_TCP, NULL, NULL, "redis://h:6379/0"},
    {"redis://m%65:p%40%2F%3a%25@h", REDIS_URL_TCP, "me", "p@/:%", "redis://h:6379/0"},
    {"redis://me:p@ss:wo@rd@h", REDIS_URL_TCP, "me", "p@ss:wo@rd", "redis://h:6379/0"},
    {"redis://me:[,]@[::1]", REDIS_URL_TCP, "me", "[,]", "redis://[::1]:6379/0"},
    {"rediss://me:secret@h:6390", REDIS_URL_TLS, "me", "secret", "rediss://h:6390/0"},
    {"redis+unix:///run/redis.sock", REDIS_URL_UNIX, NULL, NULL, "redis+unix:///run/redis.sock?db=0"},
    {"redis+unix:///run/redis.sock?db=3", REDIS_URL_UNIX, NULL, NULL, "redis+unix:///run/redis.sock?db=3"},
    {"redis+unix:///run/a@b/my%20redis.sock", REDIS_URL_UNIX, NULL, NULL,
     "redis+unix:///run/a@b/my redis.sock?db=0"},
    {"redis+unix://me:p@ss@/run/r.sock?db=1", REDIS_URL_UNIX, "me", "p@ss", "redis+unix:///run/r.sock?db=1"},
    {"redis+sentinel://a,b:2,[::1]:3/main", REDIS_URL_SENTINEL, NULL, NULL,
     "redis+sentinel://a:26379,b:2,[::1]:3/main/0"},
    {"redis+sentinel://me:pw@a/my%2Fmain/4", REDIS_URL_SENTINEL, "me", "pw",
     "redis+sentinel://a:26379/my/main/4"},
    {"redis+sentinel://a/main/", REDIS_URL_SENTINEL, NULL, NULL, "redis+sentinel://a:26379/main/0"},
    {"rediss+sentinel://me:pw@a,b:1/main/4", REDIS_URL_SENTINEL, "me", "pw",
     "rediss+sentinel://a:26379,b:1/main/4"},
    {"redis+cluster://a:1,b:2", REDIS_URL_CLUSTER, NULL, NULL, "redis+cluster://a:1,b:2"},
    {"redis+cluster://a/0", REDIS_URL_CLUSTER, NULL, NULL, "redis+cluster://a:6379"},
    {"rediss+cluster://me:pw@a,b:2", REDIS_URL_CLUSTER, "me", "pw", "rediss+cluster://a:6379,b:2"},
};

static void assert_text(const char *value, const char *expected)
{
    if (expected == NULL)
        ck_assert_ptr_null(value);
    else
        ck_assert_pstr_eq(value, expected);
}

TEST_EACH(a_good_url_is_parsed, good)
{
    struct redis_url url;
    char error[256] = "", described[256];

    ck_assert_msg(redis_url_parse(good[_i].text, &url, error, sizeof(error)), "%s: %s", good[_i].text, error);
    ck_assert_int_eq(url.kind, good[_i].kind);
    ck_assert_int_eq(url.tls, strncmp(good[_i].text, "rediss", 6) == 0);
    assert_text(url.user, good[_i].user);
    assert_text(url.password, good[_i].password);
    redis_url_describe(&url, described, sizeof(described));
    ck_assert_str_eq(described, good[_i].described);
    redis_url_deinit(&url);
}

#define SCHEMES                                                                                              \
    "it must begin with redis://, redis+unix://, redis+sentinel:// or redis+cluster://; with TLS rediss "    \
    "instead of redis"
#define NO_HOST "there is no host; write for example redis://127.0.0.1:6379"
#define BAD_HOST "the host is neither a name nor an address; an IPv6 address stands in [ ]"
#define BAD_PORT "the port is not a number from 1 to 65535"
#define BAD_DB "the database is not a number; write for example /1"
#define BAD_PERCENT "a % must be followed by two hexadecimal digits, not 00; write %25 for a percent sign"
#define BAD_TAIL "nothing may follow a ? or # here; the database is written /N"
#define BAD_USER "the user or the password holds one of / ? #; write them as %2F %3F %23"
#define NO_PATH "the path of the socket is missing; write for example redis+unix:///run/redis.sock"
#define BAD_PATH                                                                                             \
    "the path of the socket must begin with a slash; write for example redis+unix:///run/redis.sock"
#define NO_MASTER "the name of the master is missing; write redis+sentinel://HOST:PORT/NAME"

static const struct {
    const char *text, *expected;
} bad[] = {
    {"", SCHEMES},
    {"localhost:6379", SCHEMES},
    {"http://h", SCHEMES},
    {"redis:/h", SCHEMES},
    {" redis://h", SCHEMES},
    {"redis://", NO_HOST},
    {"redis:///1", NO_HOST},
    {"redis://:6379", NO_HOST},
    {"redis://me:SECRET@", NO_HOST},
    {"redis://:SECRET", NO_HOST},
    {"redis://h h", BAD_HOST},
    {"redis://h\n", BAD_HOST},
    {"redis://::1", NO_HOST},
    {"redis://2001:db8::1", BAD_PORT},
    {"redis://[::1", BAD_HOST},
    {"redis://[]", BAD_HOST},
    {"redis://[1.2.3.4]", BAD_HOST},
    {"redis://[::g]", BAD_HOST},
    {"redis://[::1]6379", BAD_PORT},
    {"redis://h:", BAD_PORT},
    {"redis://h:0", BAD_PORT},
    {"redis://h:65536", BAD_PORT},
    {"redis://h:4294967297", BAD_PORT},
    {"redis://h:6379x", BAD_PORT},
    {"redis://h:-1", BAD_PORT},
    {"redis://user:SECRET", BAD_PORT},
    {"redis://h/x", BAD_DB},
    {"redis://h/-1", BAD_DB},
    {"redis://h/1/", BAD_DB},
    {"redis://h/1000000000", BAD_DB},
    {"redis://h?db=1", BAD_TAIL},
    {"redis://h/1?x", BAD_TAIL},
    {"redis://h/1#x", BAD_TAIL},
    {"redis://a,b", "more than one host; that takes redis+sentinel:// or redis+cluster://"},
    {"rediss://a,b", "more than one host; that takes rediss+sentinel:// or rediss+cluster://"},
    {"rediss+unix:///run/redis.sock", SCHEMES},
    {"redis://me:SEC/RET@h", BAD_USER},
    {"redis://me:SEC#RET@h", BAD_USER},
    {"redis://me:SEC?RET@h", BAD_USER},
    {"redis://me:SECRET%@h", BAD_PERCENT},
    {"redis://me:SECRET%4@h", BAD_PERCENT},
    {"redis://me:SECRET%zz@h", BAD_PERCENT},
    {"redis://me:SECRET%00@h", BAD_PERCENT},
    {"redis+unix://", NO_PATH},
    {"redis+unix:///", NO_PATH},
    {"redis+unix://run/redis.sock", BAD_PATH},
    {"redis+unix://me:SECRET@run/redis.sock", BAD_PATH},
    {"redis+unix:///r?x=1", "only ?db=N may follow the path of the socket"},
    {"redis+unix:///r?db=", BAD_DB},
    {"redis+unix:///r%2", BAD_PERCENT},
    {"redis+sentinel://a", NO_MASTER},
    {"redis+sentinel://a/", NO_MASTER},
    {"redis+sentinel://a//1", NO_MASTER},
    {"redis+sentinel://a/main/x", BAD_DB},
    {"redis+sentinel://a,,b/main", NO_HOST},
    {"redis+sentinel://a,/main", NO_HOST},
    {"redis+cluster://a/1", "a cluster has no database but 0"},
    {"rediss+cluster://a/1", "a cluster has no database but 0"},
};

TEST_EACH(a_bad_url_gets_one_line_without_the_password, bad)
{
    struct redis_url url;
    char error[256] = "";

    ck_assert_msg(!redis_url_parse(bad[_i].text, &url, error, sizeof(error)), "%s", bad[_i].text);
    ck_assert_msg(strcmp(error, bad[_i].expected) == 0, "%s: %s", bad[_i].text, error);
    ck_assert_ptr_null(strstr(error, "SEC"));
    redis_url_deinit(&url);
}

// "redis+cluster://h,h,h.."
static bool parse_hosts(size_t count, struct redis_url *url)
{
    char text[512] = "redis+cluster://h", error[256];

    for (size_t i = 1; i < count; i++)
        strcat(text, ",h");
    return redis_url_parse(text, url, error, sizeof(error));
}

TEST(hosts_are_bounded)
{
    struct redis_url url;

    ck_assert(parse_hosts(REDIS_URL_MAX_ENDPOINTS, &url));
    ck_assert_uint_eq(url.endpoint_count, REDIS_URL_MAX_ENDPOINTS);
    ck_assert_str_eq(url.endpoints[63].host, "h");
    redis_url_deinit(&url);
    ck_assert(!parse_hosts(REDIS_URL_MAX_ENDPOINTS + 1, &url));
}

TEST(a_socket_path_has_107_bytes_at_most)
{
    char text[200] = "redis+unix:///", error[256];
    struct redis_url url;

    memset(text + 14, 'x', 106);
    ck_assert(redis_url_parse(text, &url, error, sizeof(error)));
    redis_url_deinit(&url);
    text[14 + 106] = 'x';
    ck_assert(!redis_url_parse(text, &url, error, sizeof(error)));
    ck_assert_ptr_nonnull(strstr(error, "too long"));
}

TEST(a_host_has_253_bytes_at_most)
{
    char text[300] = "redis://", error[256];
    struct redis_url url;

    memset(text + 8, 'x', 253);
    ck_assert(redis_url_parse(text, &url, error, sizeof(error)));
    redis_url_deinit(&url);
    text[8 + 253] = 'x';
    ck_assert(!redis_url_parse(text, &url, error, sizeof(error)));
}

TEST(a_description_is_cut_to_its_room)
{
    struct redis_url url;
    char error[256], out[12];

    ck_assert(redis_url_parse("redis+cluster://alpha:1,beta:2", &url, error, sizeof(error)));
    memset(out, '!', sizeof(out));
    redis_url_describe(&url, out, 10);
    ck_assert_str_eq(out, "redis+clu");
    ck_assert_int_eq(out[10], '!');
    redis_url_deinit(&url);
}
