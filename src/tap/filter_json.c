#include "tap/filter_json.h"

#include <errno.h>
#include <string.h>

#include "base/xalloc.h"

static const char *const ops[TAP_NODE_KINDS] = {"and",	"or",	"not", "bpf", "peer",	"point",
						"type", "path", "in",  "out", "dropped"};

/* The words of a node's value; NULL behind the last. */
static const char *value_name(enum tap_node_kind kind, unsigned value)
{
	if (kind == TAP_NODE_POINT)
		return value < TAP_POINTS ? tap_point_name((enum tap_point)value) : NULL;
	if (kind == TAP_NODE_TYPE)
		return value < TAP_TYPES ? tap_type_name((enum tap_type)value) : NULL;
	if (kind == TAP_NODE_PATH)
		return value < PATH_KINDS ? path_kind_name((enum path_kind)value) : NULL;
	return NULL;
}

/* ---- out ---- */

static json_t *program(const struct tap_node *n)
{
	json_t *code = json_array();

	for (unsigned i = 0; i < n->count; i++) {
		const struct tap_instruction *c = &n->code[i];

		json_array_append_new(
			code, json_pack("[i,i,i,I]", (int)c->code, (int)c->jt, (int)c->jf, (json_int_t)c->k));
	}
	return code;
}

json_t *tap_filter_to_json(const struct tap_filter *f)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; f && i < f->count; i++) {
		const struct tap_node *n = &f->nodes[i];
		json_t *node = json_pack("{s:s}", "op", ops[n->kind]);

		if (n->kind == TAP_NODE_BPF)
			json_object_set_new(node, "code", program(n));
		else if (n->kind == TAP_NODE_PEER)
			json_object_set_new(node, "peer", json_string(n->peer));
		else if (value_name(n->kind, n->value))
			json_object_set_new(node, "value", json_string(value_name(n->kind, n->value)));
		json_array_append_new(nodes, node);
	}
	return nodes;
}

/* ---- in ---- */

static bool number(const json_t *array, size_t at, uint64_t most, uint64_t *out)
{
	const json_t *v = json_array_get(array, at);

	if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > most)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static bool read_program(struct tap_node *n, const json_t *code)
{
	size_t count = json_array_size(code);

	if (!count || count > TAP_INSTRUCTIONS_MAX)
		return false;
	n->code = xcalloc(count, sizeof(*n->code));
	n->count = (unsigned)count;
	for (size_t i = 0; i < count; i++) {
		const json_t *c = json_array_get(code, i);
		uint64_t op, jt, jf, k;

		if (json_array_size(c) != 4 || !number(c, 0, UINT16_MAX, &op) ||
		    !number(c, 1, UINT8_MAX, &jt) || !number(c, 2, UINT8_MAX, &jf) ||
		    !number(c, 3, UINT32_MAX, &k))
			return false;
		n->code[i] = (struct tap_instruction){
			.code = (uint16_t)op, .jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = (uint32_t)k};
	}
	return true;
}

static bool read_value(struct tap_node *n, const char *word)
{
	const char *name;

	for (unsigned v = 0; word && (name = value_name(n->kind, v)); v++)
		if (!strcmp(word, name)) {
			n->value = (uint8_t)v;
			return true;
		}
	return false;
}

static bool read_node(struct tap_node *n, const json_t *node)
{
	const char *op = json_string_value(json_object_get(node, "op"));
	const char *peer = json_string_value(json_object_get(node, "peer"));
	unsigned kind = 0;

	while (op && kind < TAP_NODE_KINDS && strcmp(op, ops[kind]))
		kind++;
	if (!op || kind == TAP_NODE_KINDS)
		return false;
	n->kind = (enum tap_node_kind)kind;
	switch (n->kind) {
	case TAP_NODE_BPF:
		return read_program(n, json_object_get(node, "code"));
	case TAP_NODE_PEER:
		if (!peer || strlen(peer) >= sizeof(n->peer))
			return false;
		strcpy(n->peer, peer);
		return true;
	case TAP_NODE_POINT:
	case TAP_NODE_TYPE:
	case TAP_NODE_PATH:
		return read_value(n, json_string_value(json_object_get(node, "value")));
	default:
		return true;
	}
}

int tap_filter_from_json(struct tap_filter **out, const json_t *nodes, struct error *e)
{
	struct tap_filter *f;
	size_t count = json_array_size(nodes);

	*out = NULL;
	if (!json_is_array(nodes) || count > TAP_NODES_MAX)
		return error_set(e, EINVAL, "a filter is an array of at most %d nodes", TAP_NODES_MAX);
	f = xcalloc(1, sizeof(*f));
	for (f->count = 0; f->count < count;) {
		struct tap_node *n = &f->nodes[f->count++];

		if (read_node(n, json_array_get(nodes, f->count - 1)))
			continue;
		error_set(e, EINVAL, "node %u of the filter is none that this engine knows", f->count);
		tap_filter_free(f);
		return -EINVAL;
	}
	if (!tap_filter_valid(f)) {
		tap_filter_free(f);
		return error_set(e, EINVAL, "the filter is not whole, or a program in it is not safe");
	}
	*out = f;
	return 0;
}
