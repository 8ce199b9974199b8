// A page: the whole answer to a path other than the stream's (health, metrics). Pure.
#pragma once

struct page {
    int status;
    const char *content_type; // static
    const char *fields;       // static: more lines of the head, each with CRLF; NULL for none
    char *body;               // malloc'ed by the page, freed by the connection; NULL: out of memory
};
