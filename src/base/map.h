/* Hash map from fixed-size byte keys to pointers; SipHash with a random seed, so no input can degrade it. */
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;

struct map *map_new(size_t key_len); /* key_len at most 64 */
void map_free(struct map *m);	      /* values stay with their owners */
void *map_get(const struct map *m, const void *key);
void map_put(struct map *m, const void *key, void *value); /* value not NULL; replaces */
void *map_remove(struct map *m, const void *key);	    /* the value that was there, or NULL */
size_t map_count(const struct map *m);

#endif
