#!/bin/bash
# Formats C files as PostgreSQL's pgindent does.
#
#   scripts/indent.sh [FILE...]           all of them, or these, in place
#   scripts/indent.sh --check [FILE...]   only show what would change; fails if something would
#
# PG_BSD_INDENT names the program, Debian's package pg-bsd-indent.  A new type
# goes into typedefs.list, one name a line, in byte order.

. "$(dirname "$0")/common.sh"

PROGRAM=${PG_BSD_INDENT:-pg_bsd_indent}
VERSION=2.1.1		# pgindent asks for one version too: each formats a little differently

# What pgindent gives it, in all versions of PostgreSQL that we build for
OPTIONS=(-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79 -lp -lpl -nip
	-npro -sac -tpg -ts4 "-U$ROOT/typedefs.list")

# What it does to the result: a single blank before the "*" of a function's
# return type.  The other three are ours: pg_bsd_indent takes designated
# initialisers for members of something and compound literals for blocks; and
# "text" is a type of PostgreSQL's, but not in typedefs.list because it is a
# good name for a variable too.
# shellcheck disable=SC2016  # Perl's variables
AFTERWARDS='
	s/^([A-Za-z_]\S*)[ \t]+\*$/$1 */gm;
	s/,(\.\w[\w.\[\]]* = )/, $1/g;
	s/,(\[\w+\] = )/, $1/g;
	s/\((\w+)\)\n\t+\{\n\t+([^\n]*)\n\t+\};/($1) {$2};/g;
	s/\btext \* (?=\w)/text */g;
'

# formatted FILE: as it should be
formatted()
{
	local copy=$WORK/${1##*/}

	cp "$1" "$copy"
	# It tells of trouble by words only.
	"$PROGRAM" "${OPTIONS[@]}" "$copy" "$WORK/out" >"$WORK/said" 2>&1 || true
	if [ -s "$WORK/said" ]; then
		sed "s,^,$1: ," "$WORK/said" >&2
		return 1
	fi
	perl -0pe "$AFTERWARDS" "$WORK/out"
}

CHECK=no
if [ "${1:-}" = --check ]; then
	CHECK=yes
	shift
fi
have "$PROGRAM" || die "there is no $PROGRAM; Debian has it in the package pg-bsd-indent"
[[ $("$PROGRAM" --version 2>&1) == *" $VERSION "* ]] ||
	die "pg_bsd_indent $VERSION is wanted, and $PROGRAM is another version"

FILES=("$@")
if [ $# -eq 0 ]; then
	cd "$ROOT"
	mapfile -t FILES < <(c_files)
fi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
BAD=0
for file in "${FILES[@]}"; do
	formatted "$file" >"$WORK/formatted" || die "$file cannot be formatted"
	cmp -s "$file" "$WORK/formatted" && continue
	BAD=$((BAD + 1))
	if [ "$CHECK" = yes ]; then
		diff -u --label "$file" --label "$file, formatted" "$file" "$WORK/formatted" || true
	else
		echo "$file"
		cat "$WORK/formatted" >"$file"
	fi
done
[ "$CHECK" = no ] || [ "$BAD" -eq 0 ] || die "$BAD of ${#FILES[@]} files are not formatted; scripts/indent.sh does it"
