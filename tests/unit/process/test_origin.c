// What --cors-origin takes is compared with what browsers send, byte for byte.
#include "gateway/process/origin.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static char out[ORIGIN_SIZE], error[256];

static const struct {
    const char *text, *normal;
} good[] = {
    {"*", "*"},
    {"https://app.example.com", "https://app.example.com"},
    {"HTTPS://App.Example.COM", "https://app.example.com"},
    {"https://app.example.com:443", "https://app.example.com"},
    {"http://app.example.com:80", "http://app.example.com"},
    {"http://app.example.com:443", "http://app.example.com:443"},
    {"https://app.example.com:80", "https://app.example.com:80"},
    {"https://app.example.com:", "https://app.example.com"},
    {"http://localhost:03000", "http://localhost:3000"},
    {"http://localhost:65535", "http://localhost:65535"},
    {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
    {"http://127.0.0.1:3000", "http://127.0.0.1:3000"},
    {"http://[::1]:3000", "http://[::1]:3000"},
    {"http://[::1]:80", "http://[::1]"},
    {"http://[2001:DB8:0:0::0001]", "http://[2001:db8::1]"},
    {"http://[::ffff:192.0.2.1]", "http://[::ffff:c000:201]"},
    {"http://[::192.0.2.1]:8080", "http://[::c000:201]:8080"},
    {"chrome-extension://abcdefgh", "chrome-extension://abcdefgh"},
    {"capacitor://localhost", "capacitor://localhost"},
    {"http://a_b.example", "http://a_b.example"},
    {"https://*.example.com", "https://*.example.com"},
    {"HTTPS://*.Example.COM:443", "https://*.example.com"},
    {"https://*.a.example.com:8443", "https://*.a.example.com:8443"},
    {"http://*.localhost:3000", "http://*.localhost:3000"},
};

TEST_EACH(an_origin_is_written_as_browsers_send_it, good)
{
    ck_assert_msg(origin_normalise(good[_i].text, out, error, sizeof error), "%s %s", good[_i].text, error);
    ck_assert_str_eq(out, good[_i].normal);
    ck_assert(origin_normalise(good[_i].normal, out, error, sizeof error));
    ck_assert_str_eq(out, good[_i].normal);
}

static const struct {
    const char *text, *hint;
} bad[] = {
    {"", "is no origin"},
    {"app.example.com", "is no origin"},
    {"null", "is no origin"},
    {"://a", "is no origin"},
    {"1http://a", "is no origin"},
    {"ht tp://a", "is no origin"},
    {"https://", "is no origin"},
    {"https:///x", "is no origin"},
    {"https://user@a", "is no origin"},
    {"https://a.example/", "write https://a.example"},
    {"HTTPS://A.example:443/", "write https://a.example"},
    {"https://a.example/x", "write https://a.example"},
    {"https://a.example?x", "write https://a.example"},
    {"https://a.example#x", "write https://a.example"},
    {"https://*", "write each origin"},
    {"https://*.*.example.com", "write each origin"},
    {"https://a.*.example.com", "write each origin"},
    {"https://*a.example.com", "write each origin"},
    {"https://*.com", "at least two labels"},
    {"https://*.com.", "at least two labels"},
    {"https://*..com", "at least two labels"},
    {"https://*.", "write each origin"},
    {"https://*.127.0.0.1", "neither a name nor an address"},
    {"https://*.1", "neither a name nor an address"},
    {"https://*.[::1]", "neither a name nor an address"},
    {"https://*.example.com/", "write https://*.example.com"},
    {"https://b\xc3\xbc"
     "cher.example",
     "xn--"},
    {"https://a b", "neither a name nor an address"},
    {"https://%61", "neither a name nor an address"},
    {"https://a,b", "neither a name nor an address"},
    {"http://127.1", "neither a name nor an address"},
    {"http://256.0.0.1", "neither a name nor an address"},
    {"http://[::1", "neither a name nor an address"},
    {"http://[", "neither a name nor an address"},
    {"http://[]", "neither a name nor an address"},
    {"http://[::g]", "neither a name nor an address"},
    {"http://[::1]x", "is no origin"},
    {"http://a:0", "no number from 1 to 65535"},
    {"http://a:65536", "no number from 1 to 65535"},
    {"http://a:99999999999999999999", "no number from 1 to 65535"},
    {"http://a:80x", "no number from 1 to 65535"},
    {"http://a:-1", "no number from 1 to 65535"},
};

TEST_EACH(what_no_browser_sends_is_refused_with_the_form_to_write, bad)
{
    ck_assert_msg(!origin_normalise(bad[_i].text, out, error, sizeof error), "%s is taken", bad[_i].text);
    ck_assert_msg(strstr(error, bad[_i].hint) != NULL, "%s: %s", bad[_i].text, error);
    ck_assert_ptr_null(strchr(error, '\n'));
}

TEST(a_host_of_any_length_is_refused_or_fits)
{
    char text[2000] = "https://";
    for (size_t len = 1; len < 1900; len++) {
        memset(text + 8, 'a', len);
        text[8 + len] = '\0';
        ck_assert_int_eq(origin_normalise(text, out, error, sizeof error), len <= 253);
    }
}
