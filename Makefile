# snowflake: 64-bit, time-ordered, cluster-unique IDs made inside PostgreSQL
#
#   make demo           install what is missing, build, start a private server, show a tour;
#                       KEEP=1 leaves it running until make clean-demo
#   make test           the same set-up, then every test
#   make                build the library           (PGXS)
#   make install        install it                  (PGXS)
#   make installcheck   SQL, isolation and TAP tests against the installed library,
#                       in temporary servers; TEMP_INSTANCE=no uses the running one
#   make unit           only the tests of the pure C files: unit tests, and the corpus of the fuzz targets
#   make lint           look at the sources: format, analysers, rules of this project
#   make fuzz           RUNS=10000000 inputs to the pure C files, by libFuzzer
#   make matrix         every test under PostgreSQL 17, 18 and 19, in a chroot; as root
#   make check-assert   the tests under a server built with assertions; check-asan and
#                       check-valgrind likewise, see scripts/checked.sh and doc/checks.md
#   make coverage       every test of the library, and the lines that they do not come to
#   make torture        kills, clock steps and fail-overs under load for MINUTES=30
#   make examples       the examples, each loaded for two minutes
#   make model          check the model of the lease protocol with larger bounds
#   make bench          the quick benchmark: what IDs cost, and what asking by time does
#   make compare        every way to make an ID, measured in servers of its own;
#                       QUICK=1 for small sizes, see bench/compare.sh for more
#   make scale          a simulation of up to 1,024 servers
#   make dist           the archive of the last commit, as .tar.gz and .zip, in DISTDIR=.
#   make deb-test       the archive and the Debian packages, built, installed and tested
#
# The module snowflake_zookeeper is made as well where libzookeeper-st-dev is
# installed; ZOOKEEPER=no leaves it out.
#
# PG_CONFIG=/path/to/pg_config chooses the PostgreSQL to build for.

EXTENSION = snowflake
MODULE_big = snowflake
PGFILEDESC = "snowflake - 64-bit, time-ordered, cluster-unique IDs"

OBJS = \
	$(WIN32RES) \
	src/snowflake.o \
	src/guc.o \
	src/layout.o \
	src/layout_text.o \
	src/step.o \
	src/clock.o \
	src/shared.o \
	src/node.o \
	src/lease.o \
	src/sequence.o \
	src/version.o \
	src/horizon.o \
	src/generator.o \
	src/functions.o \
	src/admin.o \
	src/decode.o \
	src/timerange.o \
	src/partition.o \
	src/text_forms.o \
	src/text.o \
	src/status.o

DATA = sql/snowflake--1.0.0.sql
DOCS = README.md

REGRESS = setup layout decode timerange timeplans timepairs partition text generate settings privileges errors adopt
ISOLATION = concurrent adopt
TAP_TESTS = 1
PROVE_TESTS ?= test/t/*.pl

# pg_regress looks for sql/ and expected/ at the top, the isolation tester for
# specs/ and expected/ below test/.
TEMP_INSTANCE ?= yes
ifneq ($(TEMP_INSTANCE),no)
REGRESS_OPTS = --temp-instance=$(CURDIR)/tmp_regress --temp-config=$(CURDIR)/test/snowflake.conf
ISOLATION_OPTS = --temp-instance=$(CURDIR)/tmp_isolation --temp-config=$(CURDIR)/test/snowflake.conf
else
TAP_TESTS =
endif
ISOLATION_OPTS += --inputdir=test --outputdir=output_iso

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
PG_HEADER := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h

# The two commands for a newcomer work before there is anything to build with.
.DEFAULT_GOAL := all

STANDALONE = demo clean-demo test examples matrix torture unit lint fuzz model compare scale dist deb-test check-assert check-asan check-valgrind coverage help

.PHONY: $(STANDALONE) bench

# exec: a Ctrl-C then waits for the scripts to clean up.
demo:
	@exec env PG_CONFIG='$(PG_CONFIG)' KEEP='$(KEEP)' scripts/demo.sh

clean-demo:
	@exec scripts/demo.sh clean

test:
	@exec env PG_CONFIG='$(PG_CONFIG)' scripts/test.sh

examples:
	@exec env PG_CONFIG='$(PG_CONFIG)' EXAMPLE_SECONDS=120 scripts/test.sh examples

matrix:
	@exec scripts/matrix.sh

check-assert check-asan check-valgrind:
	@exec scripts/checked.sh $(@:check-%=%)

coverage:
	@exec env PG_CONFIG='$(PG_CONFIG)' scripts/test.sh regress isolation tap coverage

unit:
	@$(MAKE) --no-print-directory --keep-going -C test/unit check
	@$(MAKE) --no-print-directory -C test/fuzz replay

lint:
	@exec env PG_CONFIG='$(PG_CONFIG)' scripts/lint.sh

fuzz:
	@exec env RUNS='$(RUNS)' SEED='$(SEED)' scripts/fuzz.sh

torture:
	@exec env PG_CONFIG='$(PG_CONFIG)' MINUTES='$(MINUTES)' ROUNDS='$(ROUNDS)' scripts/test.sh torture

model:
	@test/model/run --large

compare:
	@exec env PG_CONFIG='$(PG_CONFIG)' bench/compare.sh $(if $(QUICK),--quick)

scale:
	@exec bench/scale.py tmp_compare
DISTDIR ?= .
DISTNAME = snowflake-$(shell sed -n "s/^default_version = '\(.*\)'/\1/p" snowflake.control)

# A repository that only lies above this directory is another one.
dist:
	@test -e .git || { echo "make dist wants a checkout of the repository" >&2; exit 1; }
	git archive --prefix=$(DISTNAME)/ -o '$(DISTDIR)/$(DISTNAME).tar.gz' HEAD
	git archive --prefix=$(DISTNAME)/ -o '$(DISTDIR)/$(DISTNAME).zip' HEAD

deb-test:
	@exec env PG_CONFIG='$(PG_CONFIG)' KEEP='$(KEEP)' scripts/package.sh

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

ifneq ($(wildcard $(PGXS)),)
ifneq ($(wildcard $(PG_HEADER)),)
HAVE_PGXS = yes
endif
endif

ifeq ($(HAVE_PGXS),yes)
PG_CPPFLAGS = -I$(srcdir)/src
# What PostgreSQL 16 and newer have by hiding symbols: functions are inlined.
PG_CFLAGS = -fno-semantic-interposition
include $(PGXS)
$(filter %.o,$(OBJS)): $(wildcard src/*.h)

# The module that leases node IDs is made where the client of ZooKeeper is.
ZOOKEEPER ?= $(shell echo '\#include <zookeeper/zookeeper.h>' | \
	$(CC) -x c -E - >/dev/null 2>&1 && \
	echo 'int main(void) { return 0; }' | \
	$(CC) -x c - -lzookeeper_st -o /dev/null 2>/dev/null && echo yes)

ifeq ($(ZOOKEEPER),yes)
all: zookeeper-all
install: zookeeper-install
uninstall: zookeeper-uninstall
clean: zookeeper-clean

zookeeper-%:
	$(MAKE) -C src/zookeeper PG_CONFIG='$(PG_CONFIG)' $*
endif
else ifneq ($(filter-out $(STANDALONE),$(or $(MAKECMDGOALS),all)),)
$(error The server development files of PostgreSQL were not found with PG_CONFIG=$(PG_CONFIG); install the package postgresql-server-dev-NN, or name another pg_config with "make PG_CONFIG=/path/to/pg_config", or let "make demo" install what is missing)
endif

bench: all
	@PG_CONFIG='$(PG_CONFIG)' bench/run.sh
