/*
 * Deferred freeing for data that workers read without locks (quiescent-state based reclamation, as in RCU).
 *
 * A reader marks each batch with epoch_enter/epoch_exit: two stores to a cache line of its own. A writer unlinks
 * an object with an atomic store and hands it to epoch_retire; the object is freed after every reader that was
 * inside at that moment has left. It does the work of liburcu's QSBR flavour in C11 atomics alone, so that
 * ThreadSanitizer can follow it.
 */
#ifndef WEIR_BASE_EPOCH_H
#define WEIR_BASE_EPOCH_H

#include <stdatomic.h>
#include <stdint.h>

#define EPOCH_READERS_MAX 64

struct epoch; /* a domain: one per device */

struct epoch_reader {
	_Alignas(64) _Atomic uint64_t inside; /* epoch that it entered under, 0 while outside */
};

struct epoch *epoch_new(void);

/* Frees everything that is still retired; no reader may be inside. */
void epoch_free(struct epoch *e);

/* Readers are registered before they start and stay until the domain goes. NULL when all slots are taken. */
struct epoch_reader *epoch_reader_add(struct epoch *e);
void epoch_enter(struct epoch *e, struct epoch_reader *r);
void epoch_exit(struct epoch_reader *r);

/* Calls fn(ptr) once no reader can hold ptr any more. One writer thread only. */
void epoch_retire(struct epoch *e, void *ptr, void (*fn)(void *ptr));

/* Frees what can be freed; returns how many objects still wait. The writer calls it now and then. */
unsigned epoch_reclaim(struct epoch *e);

#endif
