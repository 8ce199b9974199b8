// What one value of one option may be: the checks that the table of options names. See struct option_spec for what
// they return and write.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool config_check_pattern(const char *text, char *error, size_t error_size);
bool config_check_durable(const char *text, char *error, size_t error_size);
bool config_check_payload(const char *text, char *error, size_t error_size);
bool config_check_listen_mode(const char *text, char *error, size_t error_size);
bool config_check_listen_group(const char *text, char *error, size_t error_size);
bool config_check_admin_listen(const char *text, char *error, size_t error_size);
bool config_check_origin(const char *text, char *error, size_t error_size);
bool config_check_trusted_proxy(const char *text, char *error, size_t error_size);
bool config_check_header_name(const char *text, char *error, size_t error_size);
bool config_check_path(const char *text, char *error, size_t error_size);
bool config_check_algorithms(const char *text, char *error, size_t error_size);
bool config_check_cookie(const char *text, char *error, size_t error_size);
bool config_check_query(const char *text, char *error, size_t error_size);
bool config_check_tolerance(const char *text, char *error, size_t error_size);
bool config_check_rate(const char *text, char *error, size_t error_size);
bool config_check_id(const char *text, char *error, size_t error_size);

// The values of these two. False where `text` is none.
bool config_read_tolerance(const char *text, double *out);
bool config_read_rate(const char *text, uint64_t *per_s);

// Whether `c` may stand in --id, which is written into response heads and into the labels of metrics.
bool config_is_id_byte(char c);
