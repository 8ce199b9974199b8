// The Redis function library `sse` (the files of common/sse/, in the order of their names), as the build
// put it into the program. Pure constants.
#pragma once

// For FUNCTION LOAD: all of it.
extern const char function_library_text[];

// What FCALL_RO sse_version answers once this library is loaded.
extern const int function_library_version;

// The same as a script, for EVAL with the keys and arguments of sse_publish; part of function_library_text.
const char *function_library_script(void);

// SHA1 of the script in 40 hexadecimal digits, for EVALSHA.
extern const char function_library_script_sha1[];
