/* Training curves for TensorBoard: event files of scalar summaries, written by hand. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include "base/status.h"

typedef struct events events;

/* A new file in `folder` (made when it is not there); a resumed run adds one beside the old. */
garam_status events_open(events **out, const char *folder, garam_error *err);
/* One record, handed to the system at once. Values that are not finite are left out. */
garam_status events_scalar(events *e, const char *tag, uint64_t step, double value,
                           garam_error *err);
garam_status events_close(events *e, garam_error *err); /* NULL is fine; frees e in any case */

/* CRC-32C (Castagnoli) rotated and offset as TFRecord wants it. */
uint32_t events_masked_crc(const void *data, size_t size);
/* One TFRecord around data: out holds size + 16 bytes. Returns that. */
size_t events_record(uint8_t *out, const void *data, size_t size);

#endif
