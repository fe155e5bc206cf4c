/* Facts for the rules about paths: the controller's view of them, and what the other end counts. */
#include <stdio.h>
#include <string.h>

#include "engine/diagnosis.h"
#include "engine/paths.h"

void diagnosis_paths_device(struct engine *g, struct diagnosis_device *v, uint64_t now)
{
	(void)now;
	v->relay_configured = g->paths->network.url_count > 0;
	v->ice_off = g->paths->network.ice_off;
}

static void path_facts(const struct engine_path_view *from, struct diagnosis_path *to)
{
	to->view = from->path;
	to->chosen = from->chosen;
	memcpy(to->local, from->local, sizeof(to->local));
	memcpy(to->remote, from->remote, sizeof(to->remote));
	memcpy(to->local_type, from->local_type, sizeof(to->local_type));
	memcpy(to->remote_type, from->remote_type, sizeof(to->remote_type));
	to->sent = from->sent;
	to->received = from->received;
	to->last_sent = from->last_sent;
	to->last_received = from->last_received;
}

void diagnosis_paths_facts(struct engine_peer *p, struct diagnosis_facts *f, uint64_t now)
{
	struct engine_network_view v;

	(void)now;
	engine_look_network(p, &v);
	f->controlled = v.has_controller;
	f->mode = v.mode;
	if (!v.has_controller)
		return;
	f->look = v.look;
	f->path_count = v.path_count;
	for (unsigned i = 0; i < v.path_count; i++)
		path_facts(&v.paths[i], &f->paths[i]);
	f->frames_sent = v.frames_sent;
	f->frames_received = v.frames_received;
	memcpy(f->frames_rejected, v.frames_rejected, sizeof(f->frames_rejected));
	f->has_report = v.has_report;
	f->report = v.report;
	f->report_at = v.report_at;
	f->inner_mtu = v.inner_mtu;
	f->device_mtu = (uint16_t)(p->engine->mtu > 0 ? p->engine->mtu : 0);
}
