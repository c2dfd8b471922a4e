/* Sets of option rows from one flat JSON object: what --config and the public API read. */
#ifndef API_SETTINGS_H
#define API_SETTINGS_H

#include "base/opt.h"

/* Every key into the first set that has it. An unknown key is GARAM_NOT_FOUND with the nearest
 * name; `where` names the source in messages. */
garam_status settings_from_json(const opt_set *sets, size_t n_sets, json_t *object,
                                const char *where, garam_error *err);

/* A name that may be in a config object before its rows are known; NULL when it is not. */
const char *settings_peek(json_t *object, const char *key);
/* Does the object (may be NULL) have a key of this row, written with '-' or '_'? */
bool settings_has(json_t *object, const opt_row *row);

#endif
