#!/bin/bash
# Every test, or the named ones, in a copy of the tree.
#
#   scripts/test.sh [STEP...]    steps: build unit regress isolation tap model
#
# These run only when they are named.  examples loads each example for
# EXAMPLE_SECONDS (10).  torture: kills, clock steps and fail-overs under load for
# MINUTES (30), ROUNDS (100) kills in each run.  monitoring: a real Prometheus,
# which it fetches where there is none.  coverage builds for that, says which lines
# of src/ the other steps of this run have not come to, and fails where that is
# more than 5 % of them.
#
# A failed step does not keep the others from running.  CI=true makes every
# compiler warning an error; COPT holds more options for the compiler.
# PROVE_TESTS="test/t/001_preload.pl ..." chooses TAP files; JOBS (2) of them run at
# a time.  LATE=yes has each session of regress and isolation load the library, and
# not the server, from PostgreSQL 17 on; settings.sql, which shows what preloading
# does, is left out.

. "$(dirname "$0")/common.sh"

STEPS=(build unit regress isolation tap model)
ON_REQUEST=(examples torture monitoring coverage)
SUMMARY=()
PASSED=0
FAILED=0
SKIPPED=0

# ---- The steps --------------------------------------------------------------

# The steps run as the user that runs the servers, under an init that reaps:
# a server that a test kills must be gone before the test starts it again.  -g
# and no terminal, so that Ctrl-C reaches the whole step and not only its head.
in_copy()
{
	as_server env "TMPDIR=$TEMPORARY" tini -s -g -- "$@" </dev/null
}

step_build()
{
	local options=${COPT:-}

	[ "${CI:-}" != true ] || options="$STRICT $options"
	! wanted coverage || options="$options --coverage -O0 -fprofile-update=atomic"
	build_and_install "$WORK" "$DIR/make.log" ${options:+"COPT=$options"}
	grep -F 'warning:' "$DIR/make.log" || true
}

step_unit()
{
	in_copy make --no-print-directory --keep-going --jobs="${JOBS:-2}" --output-sync -C "$WORK/test/unit" check
	# what fuzzing found worth keeping, without a fuzzer
	in_copy make --no-print-directory --jobs="${JOBS:-2}" -C "$WORK/test/fuzz" replay
}

# PGXS's installcheck stops at its first failing part, so each is called alone.
installcheck()
{
	in_copy make --no-print-directory -C "$WORK" "PG_CONFIG=$PG_CONFIG" "$@" installcheck
}

step_regress()
{
	installcheck ISOLATION= TAP_TESTS=
}

step_isolation()
{
	installcheck REGRESS= TAP_TESTS=
}

# The cluster that the TAP tests copy, rather than have each server made by
# initdb.  Made in the environment that PostgreSQL's modules for tests make.
make_template()
{
	as_server env -u LANGUAGE -u LC_ALL LC_MESSAGES=C \
		"$("$PG_CONFIG" --bindir)/initdb" -D "$TEMPORARY/template" -A trust -N >"$DIR/initdb.log" 2>&1
}

# Two at a time: most of its time such a test waits for a clock or a lease.
step_tap()
{
	make_template || { cat "$DIR/initdb.log"; return 1; }
	INITDB_TEMPLATE=$TEMPORARY/template installcheck REGRESS= ISOLATION= "PROVE_FLAGS=--jobs=${JOBS:-2}"
}

# The TAP files that did not run, as lines "NAME REASON".
skipped_in_tap()
{
	sed -n 's,^test/t/\([^ ]*\)\.pl \.* skipped: ,\1 ,p' "$DIR/tap.log"
}

# Shows what each example has to say of itself, and which parts could not be run.
step_examples()
{
	SNOWFLAKE_EXAMPLE_SECONDS=${EXAMPLE_SECONDS:-10} installcheck REGRESS= ISOLATION= \
		'PROVE_TESTS=examples/*/t/*.pl' 'PROVE_FLAGS=--comments --directives --timer'
}

# The examples, and parts of them, that did not run, likewise.
skipped_in_examples()
{
	awk '
		/(^|\] )examples\/[^\/]+\/t\// { name = $0; sub(/.*examples\//, "", name); sub(/\/.*/, "", name) }
		/ \.\.+ skipped: / { sub(/.* skipped: /, ""); print name, $0 }
		/^ok [0-9]+ # skip / { sub(/^ok [0-9]+ # skip /, ""); print name, $0 }' "$DIR/examples.log"
}

step_model()
{
	if [ ! -x "$WORK/test/model/run" ]; then
		echo "test/model/run is not there"
		return 77
	fi
	in_copy "$WORK/test/model/run"
}

# How many IDs the history checker says that it looked at in these logs.
ids_checked()
{
	awk '/# [0-9]+ IDs in [0-9]+ calls/ { sub(/.*# /, ""); n += $1 } END { print n + 0 }' "$@"
}

# Each run has other random numbers; its log tells the seed.  A round of starts
# and stops is a short one, so there are more of them.
step_torture()
{
	local -A times=([216_lease_rounds]=5)
	local minutes=${MINUTES:-30} rounds=${ROUNDS:-100} begun=$SECONDS runs=0 failed=0
	local file log result ids

	while ((SECONDS - begun < minutes * 60)); do
		for file in 101_horizon_crash 111_horizon_standby 103_horizon_crashpoints \
			216_lease_rounds 223_lease_release; do
			runs=$((runs + 1))
			log=$DIR/torture.$runs.log
			result=passed
			SNOWFLAKE_ROUNDS=$((rounds * ${times[$file]:-1})) installcheck REGRESS= ISOLATION= \
				"PROVE_TESTS=test/t/$file.pl" PROVE_FLAGS=-v >"$log" 2>&1 || result=FAILED
			[ "$result" = passed ] || failed=$((failed + 1))
			ids=$(ids_checked "$log")
			printf '%4d of %d s: run %d, %s %s, %s IDs%s\n' $((SECONDS - begun)) $((minutes * 60)) \
				"$runs" "$file" "$result" "$ids" \
				"$(sed -n 's/^# \([0-9]* rounds, clock set back.*\)/, \1/p' "$log")"
		done
	done
	printf '%d runs, %d failed, %s IDs checked\n' "$runs" "$failed" \
		"$(ids_checked "$DIR"/torture.*.log)"
	[ "$failed" -eq 0 ]
}

# The packages would start services of the system, so they are only unpacked.
step_monitoring()
{
	local programs=$DIR/prometheus package

	mkdir "$programs"
	if ! { have prometheus && have promtool && have prometheus-postgres-exporter; }; then
		cd "$programs"
		for package in prometheus prometheus-postgres-exporter; do
			run_logged "$DIR/fetch.log" apt-get download -q "$package" ||
				{ run_logged "$DIR/fetch.log" as_root apt-get update -q &&
					run_logged "$DIR/fetch.log" apt-get download -q "$package"; }
			dpkg-deb -x "${package}"_*.deb "$programs"
		done
	fi
	SNOWFLAKE_MONITORING_PATH=$programs/usr/bin \
		installcheck REGRESS= ISOLATION= 'PROVE_TESTS=test/t/130_monitoring.pl test/t/131_prometheus.pl'
}

# Lines that were not run are named.  What is in src/zookeeper counts where its
# tests have run.
step_coverage()
{
	local least=95 info=$DIR/coverage.info

	# It says a lot about itself, but not when it fails.  The module is compiled
	# in its own directory, from where its files are named.
	run_logged "$info.log" lcov --quiet --capture --no-recursion --directory "$WORK/src" --base-directory "$WORK" \
		--output-file "$info.library"
	run_logged "$info.log" lcov --quiet --capture --directory "$WORK/src/zookeeper" --base-directory "$WORK/src/zookeeper" \
		--output-file "$info.module"
	lcov --quiet --add-tracefile "$info.library" --add-tracefile "$info.module" --output-file "$info.all"
	lcov --quiet --extract "$info.all" "$WORK/src/*.c" --output-file "$info"
	sed -n -e "s,^SF:$WORK/,,p" -e '/^DA:[0-9]*,0$/p' -e 's/^end_of_record/end/p' -e '/^LF:\|^LH:/p' "$info" |
		awk -F '[:,]' -v least="$least" '
			/^src/ { file = $0; lines = "" }
			/^DA/ { lines = lines " " $2 }
			/^LF/ { found = $2 }
			/^LH/ { hit = $2 }
			/^end/ {
				total += found; run += hit
				printf "%-28s %5d of %5d lines %s\n", file, hit, found, lines == "" ? "" : "but not" lines
			}
			END {
				printf "%.1f %% of %d lines\n", total ? 100 * run / total : 0, total
				exit !(total && 100 * run / total >= least)
			}'
}

# ---- What went wrong --------------------------------------------------------

show_tail()
{
	[ -s "$1" ] || return 0
	printf '\n--- the end of %s\n' "$1"
	tail -n "$2" "$1"
}

# Without differences it was the temporary server that did not come up.
explain_regress()
{
	local output=${1:-$WORK} log

	if [ -s "$output/regression.diffs" ]; then
		show_tail "$output/regression.diffs" 300
	else
		for log in "$output"/log/*.log; do show_tail "$log" 30; done
	fi
}

explain_isolation()
{
	explain_regress "$WORK/output_iso"
}

# The TAP files that prove names as failed: what they said, and their servers.
explain_tap()
{
	local name log

	sed -nE 's,^(test|examples/[^/]*)/t/([^ ]*)\.pl .*Wstat.*,\2,p' "${1:-$DIR/tap.log}" | sort -u |
		while read -r name; do
			show_tail "$WORK/tmp_check/log/regress_log_$name" 40
			for log in "$WORK/tmp_check/log/${name}"_*.log; do show_tail "$log" 20; done
		done
}

explain_examples()
{
	explain_tap "$DIR/examples.log"
}

explain_monitoring()
{
	explain_tap "$DIR/monitoring.log"
}

# ---- Running them -----------------------------------------------------------

record()
{
	local line

	printf -v line '%-10s %-8s %8s  %s' "$1" "$2" "${3:-}" "${4:-}"
	SUMMARY+=("${line%"  "}")
	case $2 in
		passed) PASSED=$((PASSED + 1)) ;;
		FAILED) FAILED=$((FAILED + 1)) ;;
		skipped) SKIPPED=$((SKIPPED + 1)) ;;
	esac
}

# Runs a step with its output shown and kept, and sets STATUS.  A step that
# exits with 77 was skipped, and its last line says why.
run_step()
{
	local step=$1 start=$EPOCHREALTIME log=$DIR/$1.log tenths seconds name reason

	printf '\n=== %s\n\n' "$step"
	# A subshell of its own, not in a condition, so that set -e holds in the step.
	set +e
	(set -e; "step_$step") 2>&1 | tee -i "$log"
	STATUS=${PIPESTATUS[0]}
	set -e
	tenths=$(((${EPOCHREALTIME/./} - ${start/./}) / 100000))
	seconds="$((tenths / 10)).$((tenths % 10)) s"
	case $STATUS in
		0)
			if declare -F "skipped_in_$step" >/dev/null; then
				while read -r name reason; do record "$name" skipped "" "$reason"; done < <("skipped_in_$step")
			fi
			record "$step" passed "$seconds"
			;;
		77) record "$step" skipped "$seconds" "$(tail -n 1 "$log")" ;;
		*)
			record "$step" FAILED "$seconds" "exit status $STATUS"
			if declare -F "explain_$step" >/dev/null; then "explain_$step" || true; fi
			;;
	esac
	printf '\n%s\n' "${SUMMARY[-1]}"
}

# No server of a test may outlive it; one that is just going may finish.
check_leftovers()
{
	local pids tries

	for ((tries = 0; tries < 50; tries++)); do
		mapfile -t pids < <(servers_below "$DIR")
		[ "${#pids[@]}" -gt 0 ] || break
		sleep 0.1
	done
	if [ "${#pids[@]}" -eq 0 ]; then
		record leftovers passed "" "no server was left running"
		return
	fi
	printf '\n=== servers were left running\n\n'
	ps -o pid,args -p "$(IFS=,; echo "${pids[*]}")" 2>/dev/null || printf '%s\n' "${pids[@]}"
	record leftovers FAILED "" "${#pids[@]} processes of servers were left running"
}

# ---- The run ----------------------------------------------------------------

finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	stop_servers_below "$DIR" || die "a server in $DIR does not stop"
	if [ "$status" -eq 0 ]; then
		rm -rf "$DIR"
	elif [ "$status" -gt 128 ]; then
		rm -rf "$DIR"
		say "Interrupted; the tests' servers were stopped and their files removed"
	fi
	exit "$status"
}

wanted()
{
	[[ " ${WANTED[*]} " == *" $1 "* ]]
}

WANTED=("$@")
[ $# -gt 0 ] || WANTED=("${STEPS[@]}")
for step in "${WANTED[@]}"; do
	[[ " ${STEPS[*]} ${ON_REQUEST[*]} " == *" $step "* ]] ||
		die "there is no step $step; the steps are: ${STEPS[*]} ${ON_REQUEST[*]}"
done
# The library that these test must be the one of this tree.
if wanted regress || wanted isolation || wanted tap || wanted examples || wanted torture || wanted monitoring; then
	WANTED+=(build)
fi

mode='test'
if wanted examples; then mode=examples; fi
PG_CONFIG=$(WITH="${WANTED[*]}" "$ROOT/scripts/setup.sh" "$mode")
cd /
say "Using $("$PG_CONFIG" --version) ($PG_CONFIG)"

# The tests' sockets are made below it, and a socket's path is short.
for parent in "${TMPDIR:-/tmp}" /tmp; do
	if [ "${#parent}" -lt 50 ] && can_use "$parent"; then break; fi
done
DIR=$(mktemp -d "$parent/snowflake-test.XXXXXX")
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
WORK=$DIR/tree
TEMPORARY=$DIR/tmp
mkdir "$TEMPORARY"
if am_root; then chown postgres: "$DIR" "$TEMPORARY"; fi
say "Testing a copy of the tree in $WORK"
copy_sources "$WORK"
if [ "${LATE:-no}" != no ]; then
	sed -i 's/^shared_preload_libraries/session_preload_libraries/' "$WORK/test/snowflake.conf"
	# shows which settings want a restart: where the server loads the library, only
	sed -i '/^REGRESS = /s/ settings / /' "$WORK/Makefile"
fi

built=no
for step in "${STEPS[@]}" "${ON_REQUEST[@]}"; do
	wanted "$step" || continue
	case $step in
		regress | isolation | tap | examples | torture | monitoring)
			if [ "$built" = no ]; then
				record "$step" skipped "" "the build failed"
				continue
			fi
			;;
	esac
	run_step "$step"
	if [ "$step" = build ] && [ "$STATUS" -eq 0 ]; then built=yes; fi
done
check_leftovers

printf '\n=== summary\n\n'
printf '%s\n' "${SUMMARY[@]}"
if [ "$FAILED" -gt 0 ]; then printf '\nThe files of this run are kept in %s\n' "$DIR"; fi
printf '\n%d passed, %d failed' "$PASSED" "$FAILED"
if [ "$SKIPPED" -gt 0 ]; then printf ', %d skipped' "$SKIPPED"; fi
printf '\n'
[ "$FAILED" -eq 0 ]
