// Imported before all others: the tests of this file look at the plain build, whatever build is under test.
// What a sanitizer adds to memory and calls is none of the gateway's.

process.env.SSE_BUILD = 'build';
