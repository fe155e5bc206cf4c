# A real terminal for lab scripts, to be sourced after lib.sh: tmux without anybody's settings.
#
#   tm COMMAND...              tmux itself; the session that the following speak of is called lab
#   screen                     what it shows now
#   shows PATTERN, lacks PATTERN
#   wait_screen PATTERN WHAT   until it shows that; or fails, saying WHAT is wrong
#   keys_to KEY...             types

need tmux
export TERM=xterm-256color LANG=C.UTF-8 LC_ALL=C.UTF-8
unset TMUX SSH_CONNECTION NO_COLOR

tm() {
	tmux -S $lab/tmux -f /dev/null "$@"
}
screen() {
	tm capture-pane -p -t lab 2>/dev/null
}
shows() {
	screen | grep -q -- "$1"
}
lacks() {
	! shows "$1"
}
wait_screen() {
	until_true 30 shows "$1" || fail "$2: the screen is
$(screen)"
}
keys_to() {
	tm send-keys -t lab "$@"
}
