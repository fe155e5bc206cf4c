/* How far a word is from another: for "did you mean". */
#ifndef WEIR_BASE_DISTANCE_H
#define WEIR_BASE_DISTANCE_H

/* Insertions, deletions, substitutions and swaps of neighbours between a and b in any case. Words of more
 * than 32 bytes are far from all. */
unsigned word_distance(const char *a, const char *b);

#endif
