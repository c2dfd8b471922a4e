/* Every environment, by name. */
#include "env/env_list.h"

#include <stddef.h>

const env_ops *const env_registry[] = {
#define X(name) &env_##name,
    ENV_LIST(X)
#undef X
        NULL,
};
