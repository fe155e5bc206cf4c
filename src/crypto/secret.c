/*
 * A slab allocator for secrets. Each chunk is a mapping of its own, locked and left out of core dumps, and
 * holds slots of one size. A slot is wiped when it is freed, so every free slot is zero but for its link:
 * allocation costs no memset. Chunks are aligned to their size, which leads from an object to its chunk.
 */
#include "crypto/primitives.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/list.h"

#ifdef __SANITIZE_ADDRESS__

/* AddressSanitizer sees into its own heap only: there it finds what is used after free, overrun or leaked. */
#include <malloc.h>

#include "base/xalloc.h"

void *secret_alloc(size_t size)
{
	return xcalloc_aligned(size < 64 ? 16 : 64, size ? size : 1);
}

void secret_free(void *ptr)
{
	if (!ptr)
		return;
	sodium_memzero(ptr, malloc_usable_size(ptr));
	free(ptr);
}

#else

#define CHUNK_SIZE 65536u
#define HEADER	   64u

/* Multiples of 64 from 64 on: such objects begin on a cache line. The steps waste a quarter at most from 256
 * on. */
static const uint16_t slot_sizes[] = {16,  32,	48,  64,  128,	192,  256,  320,  384,	448,
				      512, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, 4096};
#define CLASSES	   (sizeof(slot_sizes) / sizeof(slot_sizes[0]))

struct slot {
	struct slot *next;
};

struct chunk {
	struct list link; /* in its class while it has a free slot */
	struct slot *free;
	size_t size;	/* of the mapping */
	uint32_t class; /* CLASSES: one large object */
	uint32_t used;	/* slots that are handed out */
	uint32_t capacity;
	uint32_t fresh; /* slots from here on were never used, and are in no list */
};

_Static_assert(sizeof(struct chunk) <= HEADER, "slots begin behind the header");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list roomy[CLASSES]; /* chunks with a free slot; zeroed until first use */

static void out_of_memory(void)
{
	static const char line[] = "weir: out of memory\n";

	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		abort();
	abort();
}

/* A fresh mapping, aligned to CHUNK_SIZE; size is a multiple of the page size. */
static struct chunk *map_chunk(size_t size)
{
	uint8_t *whole =
		mmap(NULL, size + CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;
	struct chunk *c;

	if (whole == MAP_FAILED)
		out_of_memory();
	before = -(uintptr_t)whole & (CHUNK_SIZE - 1);
	if (before)
		munmap(whole, before);
	munmap(whole + before + size, CHUNK_SIZE - before);
	c = (struct chunk *)(whole + before);
	/* As far as the limits allow (RLIMIT_MEMLOCK): a secret in swap beats no tunnel at all. */
	(void)mlock(c, size);
	(void)madvise(c, size, MADV_DONTDUMP);
	c->size = size;
	return c;
}

static struct chunk *new_chunk(unsigned class)
{
	struct chunk *c = map_chunk(CHUNK_SIZE);

	c->class = class;
	c->capacity = (CHUNK_SIZE - HEADER) / slot_sizes[class];
	list_append(&roomy[class], &c->link);
	return c;
}

static void *take_slot(unsigned class)
{
	struct chunk *c;
	struct slot *s;

	if (!roomy[class].next)
		list_init(&roomy[class]);
	c = list_empty(&roomy[class]) ? new_chunk(class)
				      : container_of(roomy[class].next, struct chunk, link);
	s = c->free;
	if (s) {
		c->free = s->next;
		s->next = NULL;
	} else {
		s = (struct slot *)((uint8_t *)c + HEADER + (size_t)c->fresh++ * slot_sizes[class]);
	}
	if (++c->used == c->capacity)
		list_remove(&c->link);
	return s;
}

static void *alloc_large(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (HEADER + size + page - 1) & ~(page - 1);
	struct chunk *c;

	if (whole < size)
		out_of_memory();
	c = map_chunk(whole);
	c->class = CLASSES;
	return (uint8_t *)c + HEADER;
}

void *secret_alloc(size_t size)
{
	unsigned class = 0;
	void *ptr;

	while (class < CLASSES && slot_sizes[class] < size)
		class ++;
	if (class == CLASSES)
		return alloc_large(size);
	pthread_mutex_lock(&lock);
	ptr = take_slot(class);
	pthread_mutex_unlock(&lock);
	return ptr;
}

static void give_slot(struct chunk *c, struct slot *s)
{
	struct list *class = &roomy[c->class];

	s->next = c->free;
	c->free = s;
	if (c->used-- == c->capacity)
		list_append(class, &c->link);
	/* Keep one chunk of each class, lest a lone object maps and unmaps for ever. */
	if (!c->used && class->next->next != class) {
		list_remove(&c->link);
		munmap(c, c->size);
	}
}

void secret_free(void *ptr)
{
	struct chunk *c;

	if (!ptr)
		return;
	c = (struct chunk *)((uintptr_t)ptr & ~(uintptr_t)(CHUNK_SIZE - 1));
	if (c->class == CLASSES) {
		sodium_memzero(ptr, c->size - HEADER);
		munmap(c, c->size);
		return;
	}
	sodium_memzero(ptr, slot_sizes[c->class]);
	pthread_mutex_lock(&lock);
	give_slot(c, ptr);
	pthread_mutex_unlock(&lock);
}

#endif
