#!/bin/bash
# Fuzzing: inputs without number for the files of src/ that know nothing of
# PostgreSQL, with ASan and UBSan.  Installs what is missing.
#
#   scripts/fuzz.sh [TARGET...]   RUNS inputs (10000000) over all targets, or the named ones
#   scripts/fuzz.sh corpus        make test/fuzz/corpus the fewest inputs that cover as much as
#                                 it and the runs so far; to be committed
#
# SEED=n repeats the random numbers of a run.  New inputs that reach new code
# are kept in test/fuzz/build, and the next run begins with them too.

. "$(dirname "$0")/common.sh"

FUZZ=$ROOT/test/fuzz
BUILD=$FUZZ/build
RUNS=${RUNS:-10000000}
MAX_LEN=2048		# longer than any text that is accepted
EXECUTIONS=0
FAILED=0

[[ $RUNS =~ ^[1-9][0-9]*$ ]] || die "RUNS=$RUNS is not a number of inputs"
[[ ${SEED:=$((RANDOM * 32768 + RANDOM + 1))} =~ ^[0-9]+$ ]] || die "SEED=$SEED is not a number"

in_fuzz()
{
	make -s --no-print-directory -C "$FUZZ" "$@"
}

# How many inputs a directory has.
inputs_in()
{
	find "$1" -type f | wc -l
}

# told PATTERN LOG: what stood at the pattern's \(\) in the last line that has it.
told()
{
	sed -n "s/$1/\\1/p" "$2" | tail -n 1
}

# fuzz TARGET INPUTS: a line with the result.  What libFuzzer says is kept.
fuzz()
{
	local target=$1 runs=$2 log=$BUILD/$1.log result=passed begun=$EPOCHREALTIME
	local seconds executions finding
	local options=("-runs=$runs" "-seed=$SEED" "-max_len=$MAX_LEN" -timeout=10 -print_final_stats=1
		"-artifact_prefix=$BUILD/finding-$target-")

	mkdir -p "$BUILD/corpus/$target"
	"$BUILD/fuzz_$target" "${options[@]}" "$BUILD/corpus/$target" "$FUZZ/corpus/$target" \
		>"$log" 2>&1 </dev/null || result=FAILED
	seconds=$(((${EPOCHREALTIME/./} - ${begun/./}) / 1000000))
	executions=$(told 'stat::number_of_executed_units: *\([0-9]*\).*' "$log")
	[ "${executions:-0}" -ge "$runs" ] || result=FAILED
	EXECUTIONS=$((EXECUTIONS + ${executions:-0}))
	printf '%-14s %12s %8d s %7s %8d   %s\n' "$target" "$executions" "$seconds" \
		"$(told '.* cov: \([0-9]*\) .*' "$log")" "$(inputs_in "$BUILD/corpus/$target")" "$result"
	[ "$result" = FAILED ] || return 0

	FAILED=$((FAILED + 1))
	grep -m 1 -B 1 -E '^==[0-9]+== ?ERROR|runtime error|^SUMMARY' "$log" || tail -n 20 "$log"
	finding=$(told '.*Test unit written to \(.*\)' "$log")
	echo "the whole report: $log"
	echo "to see it again:  $BUILD/fuzz_$target $finding"
}

# Puts the fewest inputs that reach each edge in the place of the corpus.
minimize()
{
	local target=$1 fewest=$BUILD/fewest

	rm -rf "$fewest"
	mkdir -p "$fewest" "$BUILD/corpus/$target"
	run_logged "$BUILD/merge.log" "$BUILD/fuzz_$target" -merge=1 -use_counters=0 "-max_len=$MAX_LEN" \
		"$fewest" "$FUZZ/corpus/$target" "$BUILD/corpus/$target"
	rm -rf "${FUZZ:?}/corpus/$target"
	mv "$fewest" "$FUZZ/corpus/$target"
	printf '%-14s %8d inputs\n' "$target" "$(inputs_in "$FUZZ/corpus/$target")"
}

"$ROOT/scripts/setup.sh" fuzz
CLANG=$(fuzzing_clang) || die "there is no clang with libFuzzer"
in_fuzz "CLANG=$CLANG" fuzzers
read -r -a all < <(in_fuzz names)

if [ "${1:-}" = corpus ]; then
	for target in "${all[@]}"; do minimize "$target"; done
	exit
fi

targets=("$@")
[ $# -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
	[[ " ${all[*]} " == *" $target "* ]] ||
		die "there is no fuzz target $target; the targets are: ${all[*]}"
done

say "$("$CLANG" --version | head -n 1), $RUNS inputs to ${#targets[@]} targets, SEED=$SEED"
printf '%-14s %12s %10s %7s %8s\n' target executions time edges kept
share=$(((RUNS + ${#targets[@]} - 1) / ${#targets[@]}))
for target in "${targets[@]}"; do fuzz "$target" "$share"; done
printf '%-14s %12d %8d s\n' "all" "$EXECUTIONS" "$SECONDS"
[ "$FAILED" -eq 0 ] || die "$FAILED of ${#targets[@]} targets have a finding"
