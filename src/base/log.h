/* Log lines go to the host's callback; the default drops them. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "garam/garam.h"

void log_write(garam_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(GARAM_LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(GARAM_LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(GARAM_LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(GARAM_LOG_ERROR, __VA_ARGS__)

#endif
