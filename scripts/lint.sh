#!/bin/bash
# Looks at the sources without running them.  Installs what is missing.
#
#   scripts/lint.sh [CHECK...]    all of these, or the named ones:
#
#   format    scripts/indent.sh, that is pgindent; and typedefs.list
#   text      blanks at ends of lines, marks of unfinished work
#   rooms     what belongs into one file only, and who may include whom
#   symbols   names of what the library exports; built with every warning an error
#   shell     shellcheck
#   cppcheck  cppcheck
#   tidy      clang-tidy, see .clang-tidy

. "$(dirname "$0")/common.sh"

CHECKS=(format text rooms symbols shell cppcheck tidy)
SUMMARY=()
FAILED=0

# From the lowest room to the highest: a file includes headers of those before
# it, and its own.  An interface that is below its code stands as a file.  What
# is in src/zookeeper is a module of its own on top.
ROOMS=(compat layout layout_text text_forms clock step guc lease.h sequence shared node lease.c
	decode timerange partition text version horizon generator functions admin row status snowflake)

# These know nothing of PostgreSQL, so that they can be tested alone.
PURE=(layout layout_text text_forms clock step lease.h
	zookeeper/bounded zookeeper/record zookeeper/choose zookeeper/skew zookeeper/report)

# ---- The checks: each prints what is wrong and then fails ---------------------

# found WHAT: fails if there is something on standard input, and shows it.
found()
{
	local lines

	lines=$(cat)
	[ -n "$lines" ] || return 0
	printf '%s:\n%s\n' "$1" "$lines"
	return 1
}

# Types that the C files define, however they do it.
own_types()
{
	cd "$ROOT"
	c_files | xargs sed -n -E \
		-e 's/^\} ([A-Z]\w*);.*/\1/p' \
		-e 's/^typedef (struct|enum|union) (\w+).*/\2/p' \
		-e 's/^typedef [^{(]*[ *](\w+);.*/\1/p' | sort -u
}

check_format()
{
	local bad=0

	"$ROOT/scripts/indent.sh" --check || bad=1
	sort -c -u "$ROOT/typedefs.list" || bad=1
	comm -23 <(own_types) "$ROOT/typedefs.list" | found "types that are not in typedefs.list" || bad=1
	return "$bad"
}

# Files that people write; outputs of psql, inputs of the fuzzers and pictures are others.
written_files()
{
	find . \( -name .git -o -name build -o -name 'tmp_*' -o -name results -o -name log -o -name output_iso \
		-o -path ./expected -o -path ./test/expected -o -path ./test/fuzz/corpus \) -prune \
		-o -type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -name '*.gcno' ! -name '*.gcda' ! -name '*.md' ! -name '*.svg' -print
}

check_text()
{
	local bad=0 mark='TO''DO|FIX''ME|X''XX'

	cd "$ROOT"
	# but for what psql prints
	written_files | xargs grep -nIE '[[:blank:]]+$' | grep -v ' | ' | found "blanks at the end of a line" || bad=1
	written_files | xargs grep -nIP '^ +\t' | found "a blank before a tab" || bad=1
	written_files | while read -r file; do
		! grep -qI . "$file" || [ -z "$(tail -c 1 "$file")" ] || echo "$file"
	done | found "no end of the last line" || bad=1
	{ written_files; find . -name '*.md' -not -path './tmp_*'; } | xargs grep -nIwE "$mark" |
		found "unfinished work" || bad=1
	c_files | xargs grep -nE '(^|[;{}),[:blank:]])//( |$)' | found "comments that are not /* */" || bad=1
	c_files | while read -r file; do
		head -n 4 "$file" | grep -q "^ \* ${file##*/}\$" || echo "$file"
	done | found "files that do not begin with their name" || bad=1
	return "$bad"
}

# What a file of src/ includes with quotes, one a line.
included()
{
	sed -n 's/^#[[:blank:]]*include[[:blank:]]*"\(.*\)".*/\1/p' "$1"
}

# The files of rooms, one a line, as far as they are there.
files_of()
{
	local room file

	for room in "$@"; do
		for file in "$room" "$room.h" "$room.c"; do
			[ ! -f "$file" ] || echo "$file"
		done
	done
}

# Headers of rooms that are not below the room of a file.
upward_includes()
{
	local below=" " file header

	for file in $(files_of "${ROOMS[@]}"); do
		[ "${file%.h}" = "$file" ] || below="$below$file "
		while read -r header; do
			[ ! -e "$header" ] || [[ $below == *" $header "* ]] || echo "$file includes $header"
		done < <(included "$file")
	done
}

impure_includes()
{
	local pure file header

	pure=" $(files_of "${PURE[@]}" | sed 's,.*/,,' | xargs) "
	for file in $(files_of "${PURE[@]}"); do
		while read -r header; do
			[[ $pure == *" $header "* ]] || echo "$file includes $header"
		done < <(included "$file")
	done
}

check_rooms()
{
	local bad=0 file

	cd "$ROOT/src"
	grep -rn PG_VERSION_NUM --include='*.[ch]' . | grep -v '^\./compat\.h:' |
		found "PG_VERSION_NUM outside of compat.h" || bad=1
	grep -rnE 'clock_gettime|gettimeofday|ntp_adjtime|\<time ?\(|CLOCK_(REALTIME|MONOTONIC|BOOTTIME)\>' --include='*.[ch]' . |
		grep -vE '^\./clock\.[ch]:|^[^:]*:[0-9]*:[[:blank:]]*(\*|/\*)' | found "a clock that is read outside of clock.c" || bad=1
	impure_includes | found "PostgreSQL in a file that is to be without it" || bad=1
	upward_includes | found "a lower room that includes a higher one" || bad=1
	comm -23 <(printf '%s\n' *.[ch] | sort) <(files_of "${ROOMS[@]}" | sort) |
		found "files that have no place among ROOMS in scripts/lint.sh" || bad=1
	for file in *.c; do
		grep -qF "src/${file%.c}.o" "$ROOT/Makefile" || echo "$file"
	done | found "files that the Makefile does not build" || bad=1
	return "$bad"
}

check_symbols()
{
	local dir bad=0

	dir=$(mktemp -d)
	copy_sources "$dir/tree"
	if am_root; then chown postgres: "$dir"; fi
	run_logged "$dir/make.log" as_server make -s --no-print-directory -C "$dir/tree" "PG_CONFIG=$PG_CONFIG" \
		with_llvm=no "COPT=$STRICT" "-j$(nproc)" all || bad=1
	# The Makefile leaves it out where it cannot be built.
	if [ "$bad" -eq 0 ] && [ ! -e "$dir/tree/src/zookeeper/snowflake_zookeeper.so" ]; then
		echo "the module snowflake_zookeeper was not built, so its symbols were not seen: it needs libzookeeper-st-dev"
		bad=1
	fi
	[ "$bad" -ne 0 ] || find "$dir/tree" -name '*.so' -exec nm -g --defined-only {} + | awk 'NF == 3 { print $3 }' |
		grep -vE '^(sf_|snowflake_|pg_finfo_snowflake_)|^(_PG_init|Pg_magic_func)$' |
		found "symbols that are not named sf_ or snowflake_" || bad=1
	rm -rf "$dir"
	return "$bad"
}

check_shell()
{
	cd "$ROOT"
	grep -lrIE '^#!/bin/(ba)?sh|^# shellcheck shell' scripts bench test/model debian/tests .ci | xargs shellcheck -x -P SCRIPTDIR:scripts
}

# ctuuninitvar takes an error that a function is to fill for one that it reads;
# where a variable is declared, and const in static functions, is a matter of taste.
check_cppcheck()
{
	cd "$ROOT"
	cppcheck -q --std=c99 --enable=warning,performance,portability,style --inline-suppr \
		--suppress=missingIncludeSystem --suppress=ctuuninitvar --suppress=variableScope --suppress=constParameter --error-exitcode=1 -Isrc src test bench
}

# A file at a time: several in one go confuse its analysis of argument lists.
check_tidy()
{
	cd "$ROOT"
	c_files | grep '\.c$' | xargs -P "$(nproc)" -I FILE clang-tidy --quiet FILE -- -std=gnu11 -D_GNU_SOURCE \
		-Isrc -Isrc/zookeeper -Itest/unit -Itest/fuzz "-I$("$PG_CONFIG" --includedir-server)" 2>/dev/null
}

# ---- Running them -----------------------------------------------------------

WANTED=("$@")
[ $# -gt 0 ] || WANTED=("${CHECKS[@]}")
for check in "${WANTED[@]}"; do
	[[ " ${CHECKS[*]} " == *" $check "* ]] || die "there is no check $check; the checks are: ${CHECKS[*]}"
done

PG_CONFIG=$("$ROOT/scripts/setup.sh" lint)
for check in "${WANTED[@]}"; do
	printf '\n=== %s\n\n' "$check"
	status=0
	# A subshell of its own, not in a condition, so that set -e holds in the
	# check.  Without pipefail, since a grep that finds nothing fails.
	set +e
	(set -e +o pipefail; "check_$check")
	status=$?
	set -e
	result=passed
	if [ "$status" -ne 0 ]; then
		result=FAILED
		FAILED=$((FAILED + 1))
	fi
	SUMMARY+=("$(printf '%-10s %s' "$check" "$result")")
done
printf '\n=== summary\n\n'
printf '%s\n' "${SUMMARY[@]}"
[ "$FAILED" -eq 0 ]
