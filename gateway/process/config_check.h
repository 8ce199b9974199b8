// What one value of one option may be: the checks that the table of options names. See struct option_spec for what
// they return and write.
#pragma once

#include <stdbool.h>
#include <stddef.h>

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
bool config_check_id(const char *text, char *error, size_t error_size);

// Whether `c` may stand in --id, which is written into response heads and into the labels of metrics.
bool config_is_id_byte(char c);
