/* weir: the table of commands. */
#include <stddef.h>

#include "cmd/command.h"

#define VIEW "readonly ascii slow color "
#define TALK "interface run-dir"

/* clang-format off */
const struct command commands[] = {
	{"up", up_main, "IFACE|FILE", 1, 1,
	 VIEW "headless metrics log-level workers history plain-io run-dir state-dir no-sandbox time-divisor",
	 "run a tunnel and show it; the word \"up\" may be left out"},
	{"attach", attach_main, "[IFACE]", 0, 1, VIEW TALK, "the dashboard of an engine that runs already"},
	{"status", status_main, "[IFACE]", 0, 1, "json check color " TALK, "the state of all peers, in words"},
	{"down", down_main, "[IFACE]", 0, 1, TALK, "drain, undo what was set up, and end the engine"},
	{"drain", drain_main, "PEER|all", 1, 1, TALK, "expire the keys: the next packet starts a handshake"},
	{"handshake", handshake_main, "PEER|all", 1, 1, TALK, "start a handshake now; the old keys stay in use"},
	{"reset", reset_main, "PEER|all", 1, 1, TALK, "go back to the configured endpoint, looked up anew"},
	{"resolve", resolve_main, "PEER|all", 1, 1, TALK, "look the name of its endpoint up again"},
	{"rotate", rotate_main, "PEER|all", 1, 1, TALK, "a new session: ICE starts over, beside the path in use"},
	{"probe", probe_main, "PEER|all", 1, 1, TALK, "ask on every path now whether it is alive"},
	{"path", path_main, "PEER|all [auto|relay|relay-only]", 1, 2, TALK, "which paths may be used"},
	{"ladder", ladder_main, "PEER|all now|skip|hold|resume|port|reopen", 2, 2, TALK, "the next step of recovery: take it, leave it out, wait"},
	{"reload", reload_main, "[IFACE]", 0, 1, TALK, "read the file again and apply the difference"},
	{"top", top_main, "[IFACE]", 0, 1, VIEW "batch tables interval " TALK, "the list of peers, again and again, as text"},
	{"log", log_main, "[IFACE]", 0, 1, "follow json color level log-level peer room since " TALK, "the engine's last log lines"},
	{"events", events_main, "[IFACE]", 0, 1, "follow json color level peer room since " TALK,
	 "what happened to the interface and its peers"},
	{"explain", explain_main, "PEER|all", 1, 1, "json color " TALK,
	 "why a peer is in trouble: the verdict, its evidence, and what helps"},
	{"capture", capture_main, "[FILTER...]", 0, 1000,
	 "write format point count duration snaplen rotate-size rotate-time files with-keys keep last " TALK,
	 "packets inside and outside the tunnel: to a file, a pipe, or as lines"},
	{"trace", trace_main, "ADDRESS|HOST", 1, 1, "json size color " TALK,
	 "what would become of a packet to an address, and why"},
	{"metrics", metrics_main, "[IFACE]", 0, 1, "listen no-sandbox " TALK,
	 "what the engine counts, for Prometheus (OpenMetrics)"},
	{"netreport", netreport_main, "[IFACE|FILE]", 0, 1, "json stun relay portal-url lan color " TALK,
	 "what this network lets through: UDP, NAT, MTU, relays"},
	{"bundle", bundle_main, "[IFACE|FILE]", 0, 1, "output anonymise seconds " TALK,
	 "one archive of all that helps to find out what is wrong, without secrets"},
	{"replay", replay_main, "BUNDLE", 1, 1, "at ascii slow color", "the dashboard on what a bundle recorded"},
	{"lint", lint_main, "IFACE|FILE", 1, 1, "", "check a configuration file, and what it means"},
	{"strip", strip_main, "IFACE|FILE", 1, 1, "", "print a configuration in the form of wg(8)"},
	{"relay", relay_main, "", 0, 0,
	 "listen secret-file url cert key allow stun stun-other-port stun-other-address status user max-clients "
	 "max-per-address rate queue login-time trust-proxy log-level no-sandbox time-divisor",
	 "run a relay server, with STUN, for peers that cannot reach each other"},
	{"completion", completion_main, "bash|zsh", 1, 2, TALK, "print what makes the shell complete weir's words"},
	{"debug", debug_main, "fsm", 1, 1, "", "print the table of the peer controller"},
	{0},
};
/* clang-format on */

int main(int argc, char **argv)
{
	return command_run(argc, argv);
}
