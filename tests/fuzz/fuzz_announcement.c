// Whatever is published at the channel of announcements: what is taken is written again as what reads the same, and the
// table of the tier holds it, or says why not.
#include "common/announcement.h"

#include <string.h>

#include "gateway/process/peers.h"
#include "tests/fuzz/fuzz.h"

static void check_word(const char *text, size_t max)
{
    size_t len = strlen(text);
    CHECK(len > 0 && len <= max);
    for (size_t i = 0; i < len; i++)
        CHECK(text[i] > ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct announcement a, again, heard;
    struct peers peers = {0};
    char *text = must_alloc(size);
    if (size > 0)
        memcpy(text, data, size);
    bool is_good = announcement_parse(text, size, &a);
    enum peers_news news = peers_hear(&peers, text, size, 1000, &heard);
    CHECK(is_good == (news != PEERS_JUNK));
    free(text);
    if (is_good) {
        check_word(a.id, ANNOUNCEMENT_ID_MAX);
        check_word(a.version, ANNOUNCEMENT_VERSION_MAX);
        CHECK(a.capacity > 0 && a.every_ms > 0);
        CHECK(peers.count == !a.leaving);
        char *written = announcement_text(&a);
        CHECK(written != NULL && announcement_parse(written, strlen(written), &again));
        CHECK(memcmp(&a, &again, sizeof a) == 0);
        free(written);
    }
    peers_free(&peers);
    return 0;
}
