/*
 * Any bytes as a packet of one family (FUZZ_FAMILY): what is said of it is short printable text, lines point
 * into the record, and the list says what the tree says.
 */
#include "tests/fuzz/fuzz_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void check_text(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL);
	for (; *text; text++)
		require(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decode full, brief;
	struct decode_input in;
	bool answer;

	if (!decode_input_read(&in, FUZZ_FAMILY, data, size))
		return 0;
	decode_full(&full, &in.meta, in.packet, in.len);
	decode_brief(&brief, &in.meta, in.packet, in.len);
	require(!strcmp(full.protocol, brief.protocol) && !strcmp(full.info, brief.info));
	require(!brief.count && full.count && full.count <= DECODE_LINES);
	check_text(full.protocol, sizeof(full.protocol));
	check_text(full.info, sizeof(full.info));
	for (unsigned i = 0; i < full.count; i++) {
		const struct decode_line *l = &full.lines[i];

		check_text(l->label, sizeof(l->label));
		check_text(l->value, sizeof(l->value));
		require(*l->label && l->depth <= 2);
		require((size_t)l->offset + l->length <= in.len);
	}
	decode_flow(&in.meta, in.packet, in.len);
	decode_exchange(&in.meta, in.packet, in.len, &answer);
	free(in.packet);
	return 0;
}
