/* garam_gbdt_set_loss: see garam/gbdt.h. */
#include "garam/gbdt.h"

#include "tree/gbdt.h"

void garam_gbdt_set_loss(garam_gbdt_loss fn, void *context) {
  gbdt_set_loss(fn, context);
}
