#!/bin/bash
# Runs a command in a network of its own, in which the example can give each
# member a host that can be cut off; the user that runs servers may set it up
# although it is not root.
#
#   examples/patroni/network.sh COMMAND [ARGUMENT...]
#
# Everything that the command starts is in that network, and only there.

. "$(dirname "$0")/../../scripts/common.sh"

# shellcheck disable=SC2016  # for the inner shell
as_server unshare --user --map-current-user --keep-caps --net --mount bash -euc '
	mount -t tmpfs tmpfs /run
	mkdir /run/netns
	ip link set lo up
	exec "$@"' network "$@"
