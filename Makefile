# sse-gateway. `make run` and `make test` are the two commands to know; `make help` lists the rest.
#
#   SANITIZER=address   AddressSanitizer and UndefinedBehaviorSanitizer, built under build/address
#   SANITIZER=thread    ThreadSanitizer, built under build/thread
#   V=1                 show whole commands

CC        ?= cc
PREFIX    ?= /usr/local
DESTDIR   ?=
SANITIZER ?=
BUILD     ?= build$(addprefix /,$(SANITIZER))
# The one place of the version; tests/lint/version holds CHANGELOG.md and debian/changelog to it.
VERSION   := 0.1.0

PKGS      := hiredis openssl jansson libxxhash libcurl libseccomp
WARN      := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla
HARDEN    := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
OPT       := -O2 -g
ifeq ($(SANITIZER),address)
  SAN     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  OPT     := -O1 -g
else ifeq ($(SANITIZER),thread)
  SAN     := -fsanitize=thread -fno-omit-frame-pointer
  OPT     := -O1 -g
else ifeq ($(SANITIZER),fuzz)
  # What `make fuzz` builds; no one needs to type it. libFuzzer is part of clang.
  CC      := clang
  SAN     := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  OPT     := -O1 -g
else ifneq ($(SANITIZER),)
  $(error SANITIZER=$(SANITIZER) is not known; use address or thread)
else
  HARDEN  += -D_FORTIFY_SOURCE=2
endif

CPPFLAGS  += -I. -D_GNU_SOURCE -DEV_COMPAT3=0 -DSSE_GATEWAY_VERSION='"$(VERSION)"'
CFLAGS    += -std=c11 $(OPT) $(WARN) $(HARDEN) $(SAN) -pthread
LDFLAGS   += $(HARDEN_LD) $(SAN) -pthread

# Debian 13 has llhttp as a library; Debian 12 ships its C source in the package node-llhttp.
ifneq ($(wildcard /usr/include/llhttp.h),)
  LLHTTP_LIB := -lllhttp
else
  LLHTTP_SRC := /usr/share/llhttp
  CPPFLAGS   += -isystem /usr/share/include/llhttp
  LLHTTP_OBJ := $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev -lm $(LLHTTP_LIB)
CPPFLAGS   += $(PKG_CFLAGS)

MAINS       := gateway/main.c publisher-cli/main.c
# What takes the place of https_get.c and http_stream.c where there is no libcurl.
NO_CURL_SRC := gateway/auth/https_get_none.c publisher-cli/http_stream_none.c
GATEWAY_SRC := $(filter-out $(MAINS) $(NO_CURL_SRC),$(wildcard gateway/*/*.c))
COMMON_SRC  := $(wildcard common/*.c)
CLI_SRC     := $(filter-out $(MAINS) $(NO_CURL_SRC),$(wildcard publisher-cli/*.c))
SOURCES     := $(MAINS) $(NO_CURL_SRC) $(GATEWAY_SRC) $(COMMON_SRC) $(CLI_SRC)
SSE_LUA     := $(sort $(wildcard common/sse/*.lua))
GENERATED   := $(BUILD)/generated/sse_lua.o $(BUILD)/generated/dashboard_html.o
LIB_OBJ     := $(patsubst %.c,$(BUILD)/%.o,$(GATEWAY_SRC) $(COMMON_SRC) $(CLI_SRC)) $(LLHTTP_OBJ) $(GENERATED)
LIB         := $(BUILD)/libsse.a

# tests/unit/ROOM/test_MODULE.c becomes one Check program each; tests/unit/lib is what they share, main() too.
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT_LIB := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/unit/lib/*.c))
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))

ifeq ($(V),1)
  SAY     := @:
else
  SAY     := @printf '  %s %s\n'
  Q       := @
endif

.PHONY: all static run test chaos torture rolling test-unit unit-programs fuzz fuzz-programs run-fuzz-programs bench bench-publish bench-tokens bench-fronts bench-programs sim screenshots install uninstall completions deb version format lint clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/sse-gateway $(BUILD)/sse-publish

$(BUILD)/sse-gateway: $(BUILD)/gateway/main.o $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/sse-publish: $(BUILD)/publisher-cli/main.o $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Programs that want no library but libc and libm, for images that have no more: all else is linked from archives, but for
# libcurl, of whose own libraries Debian has no archives. glibc stays, as it loads what resolves names.
STATIC_LIBS = -Wl,-Bstatic $(shell pkg-config --static --libs $(filter-out libcurl,$(PKGS))) -lev $(LLHTTP_LIB) -Wl,-Bdynamic -lm
STATIC     := $(BUILD)/static/sse-gateway $(BUILD)/static/sse-publish

static: $(STATIC)

$(BUILD)/static/sse-gateway: $(BUILD)/gateway/main.o
$(BUILD)/static/sse-publish: $(BUILD)/publisher-cli/main.o
$(STATIC): $(NO_CURL_SRC:%.c=$(BUILD)/%.o) $(LIB)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -s -Wl,--gc-sections -o $@ $(filter %/main.o,$^) $(NO_CURL_SRC:%.c=$(BUILD)/%.o) $(LIB) $(STATIC_LIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/llhttp/%.o: $(LLHTTP_SRC)/%.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) -DLLHTTP_STRICT_MODE=1 -isystem /usr/share/include/llhttp -O2 -g $(HARDEN) $(SAN) -c -o $@ $<

# The library of common/sse/ becomes constants in the programs: what common/function_library.h declares.
$(BUILD)/generated/sse_lua.c: $(SSE_LUA) common/sse Makefile
	@mkdir -p $(@D)
	$(SAY) GEN $@
	$(Q){ \
	  echo '#include "common/function_library.h"'; \
	  echo 'const char function_library_text[] ='; cat $(SSE_LUA) | sed 's/[\\"]/\\&/g; s/.*/    "&\\n"/'; echo '    ;'; \
	  cat $(SSE_LUA) | sed -n 's/^local VERSION = \([0-9]*\)$$/const int function_library_version = \1;/p'; \
	  echo "const char function_library_script_sha1[] = \"$$(cat $(SSE_LUA) | tail -n +2 | sha1sum | cut -c 1-40)\";"; \
	} >$@

# The dashboard becomes constants in the program, too: what gateway/process/dashboard_html.h declares.
$(BUILD)/generated/dashboard_html.c: deploy/dashboard/index.html deploy/dashboard/embed
	@mkdir -p $(@D)
	$(SAY) GEN $@
	$(Q)deploy/dashboard/embed $< >$@

$(BUILD)/generated/%.o: $(BUILD)/generated/%.c | $(BUILD)/.packages
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A clear word instead of a page of errors where the packages are missing.
$(BUILD)/.packages:
	@sh deploy/local/dependencies --check build
	@mkdir -p $(@D) && touch $@

# A new version is compiled into what says it.
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -l SSE_GATEWAY_VERSION $(SOURCES))): Makefile

$(BUILD)/%.o: %.c | $(BUILD)/.packages
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_LIB) $(LIB)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(LDLIBS)

unit-programs: $(UNIT_BIN)

# Loaded into the gateway by tests: counts its calls, and has one of them fail.
$(BUILD)/tests/%.so: tests/lib/%.c
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 -O2 -g $(WARN) -fPIC -shared -o $@ $<

# tests/fuzz/fuzz_MODULE.c becomes one libFuzzer program each, and tests/run-fuzz runs them: TIME seconds each. A new fuzzer
# needs seeds in tests/fuzz/corpus/MODULE, and may have words in tests/fuzz/MODULE.dict.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(FUZZ_SRC))

$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

fuzz-programs: $(FUZZ_BIN)

run-fuzz-programs: $(FUZZ_BIN)
	@tests/run-fuzz $(or $(TIME),60) $^

fuzz:
	@sh deploy/local/dependencies build fuzz
	@$(MAKE) --no-print-directory SANITIZER=fuzz run-fuzz-programs

# The one way to a fresh machine: both install what Debian packages they miss, then build and do their work.
run:
	@deploy/local/run $(ARGS)

test:
	@tests/run $(ARGS)

# Faults of all kinds for TIME seconds, and a verdict on what clients saw. The same SEED gives the same faults.
chaos:
	@tests/chaos/chaos $(if $(TIME),--time $(TIME)) $(if $(SEED),--seed $(SEED)) $(if $(SHAPE),--shape $(SHAPE)) $(if $(ONLY),--only '$(ONLY)') $(ARGS)

# One call fails, the first, the second, the third .., each in a run of its own: minutes to half an hour.
torture:
	@tests/torture/torture $(if $(ONLY),--only '$(ONLY)') $(ARGS)

test-unit: unit-programs
	@tests/run-unit $(UNIT_BIN)

# Deploys in full size: a rolling restart, and all gateways killed, behind each front. STREAMS is 9000 at most.
rolling: all
	@sh deploy/local/dependencies build run test
	@ulimit -Sn 20000; SSE_BUILD=$(BUILD) ROLLING_STREAMS=$(or $(STREAMS),6000) ROLLING_WINDOW=$(or $(WINDOW),10) \
	  ROLLING_TABS=$(or $(TABS),8) ROLLING_RETRY=$(or $(RETRY),2s) ROLLING_RATE=0.25 \
	  tests/node --test --test-concurrency=1 --test-reporter=spec tests/e2e/rolling_*.test.mjs

# What is measured against the gateway, and what measures.
$(BUILD)/bench/load: $(patsubst %,$(BUILD)/tests/bench/%.o,load load_streams load_publish histogram) $(LIB)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/floor: $(BUILD)/tests/bench/floor.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What tests/sim holds its model of rebalancing to.
$(BUILD)/sim/balance_steps: $(BUILD)/tests/sim/balance_steps.o $(LIB)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-programs: all $(BUILD)/bench/load $(BUILD)/bench/floor

# QUICK=1: under two minutes, with fewer streams and one round.
bench:
	@tests/bench/bench $(if $(QUICK),--quick) $(ARGS)

# Durable events a second beside plain PUBLISH, in one run. MESSAGES=200000 ROUNDS=5 say how much.
bench-publish:
	@sh deploy/local/dependencies build run bench
	@for node in tests/node_modules/node-linux-*/bin/node node; do [ -x "$$node" ] && break; done; \
	  exec "$$node" tests/bench/publish.mjs

# 1,000 answers of 2,000 tokens at once, and what each process pays for them: about two minutes.
bench-tokens: all
	@sh deploy/local/dependencies build run bench
	@exec tests/node tests/bench/tokens.mjs $(ARGS)

# What NGINX, HAProxy and Caddy cost beside the gateway behind them: about three minutes. Writes the table of docs/balancing.md.
bench-fronts: bench-programs
	@sh deploy/local/dependencies build run bench
	@ulimit -Sn $$(ulimit -Hn); PATH=$$PATH:/usr/local/sbin:/usr/sbin:/sbin; \
	  for node in tests/node_modules/node-linux-*/bin/node node; do [ -x "$$node" ] && break; done; \
	  exec "$$node" tests/bench/fronts.mjs $(ARGS)

# Deploys, growth and accidents of tiers of up to 1,000 gateways and 10 million streams, in a model. ARGS=--real: beside real ones.
sim:
	@tests/sim/sim $(ARGS)

# The pictures of docs/images: two minutes.
screenshots: all
	@sh deploy/local/dependencies build run test
	@SSE_BUILD=$(BUILD) tests/node tests/e2e/screenshots.mjs

# Completions, and the file of options with its defaults, are made from what the programs say of themselves.
PROGRAMS    := sse-gateway sse-publish
SHELLS      := bash zsh fish
COMPLETIONS := $(foreach shell,$(SHELLS),$(PROGRAMS:%=$(BUILD)/completions/$(shell)/%))
MADE        := $(COMPLETIONS) $(BUILD)/sse-gateway.conf $(PROGRAMS:%=$(BUILD)/man/%.1)

$(foreach shell,$(SHELLS),$(eval $(BUILD)/completions/$(shell)/%: $(BUILD)/% deploy/package/from-help; \
  $$(SAY) GEN $$@; mkdir -p $$(@D) && deploy/package/from-help $(shell) $$< >$$@))

$(BUILD)/sse-gateway.conf: $(BUILD)/sse-gateway deploy/package/from-help
	$(SAY) GEN $@
	$(Q)deploy/package/from-help config $< >$@

$(BUILD)/man/%: docs/man/% Makefile
	$(SAY) GEN $@
	$(Q)mkdir -p $(@D) && sed 's/^\.Os$$/.Os sse-gateway $(VERSION)/' $< >$@

completions: $(COMPLETIONS)

# Where the shells of Debian look, below PREFIX.
BASH_DIR := share/bash-completion/completions
FISH_DIR := share/fish/vendor_completions.d
ZSH_DIR  := share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
UNIT_DIR := lib/systemd/system

install: all $(MADE)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/man/man1 share/doc/sse-gateway share/sse-gateway/client $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR) $(UNIT_DIR))
	install -m 0755 $(BUILD)/sse-gateway $(BUILD)/sse-publish $(DESTDIR)$(PREFIX)/bin/
	install -m 0644 $(PROGRAMS:%=$(BUILD)/man/%.1) $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 0644 $(BUILD)/sse-gateway.conf $(DESTDIR)$(PREFIX)/share/doc/sse-gateway/
	install -m 0644 deploy/client/* $(DESTDIR)$(PREFIX)/share/sse-gateway/client/
	for program in $(PROGRAMS); do \
	  install -m 0644 $(BUILD)/completions/bash/$$program $(DESTDIR)$(PREFIX)/$(BASH_DIR)/$$program && \
	  install -m 0644 $(BUILD)/completions/zsh/$$program $(DESTDIR)$(PREFIX)/$(ZSH_DIR)/_$$program && \
	  install -m 0644 $(BUILD)/completions/fish/$$program $(DESTDIR)$(PREFIX)/$(FISH_DIR)/$$program.fish || exit 1; \
	done
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/systemd/sse-gateway.service >$(DESTDIR)$(PREFIX)/$(UNIT_DIR)/sse-gateway.service
	install -m 0644 deploy/systemd/sse-gateway.socket $(DESTDIR)$(PREFIX)/$(UNIT_DIR)/

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS)) $(PROGRAMS:%=$(DESTDIR)$(PREFIX)/share/man/man1/%.1)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/$(BASH_DIR)/,$(PROGRAMS)) $(addprefix $(DESTDIR)$(PREFIX)/$(ZSH_DIR)/_,$(PROGRAMS))
	rm -f $(PROGRAMS:%=$(DESTDIR)$(PREFIX)/$(FISH_DIR)/%.fish) $(addprefix $(DESTDIR)$(PREFIX)/$(UNIT_DIR)/sse-gateway.,service socket)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/sse-gateway $(DESTDIR)$(PREFIX)/share/sse-gateway

# The package is built in a copy, as debhelper leaves its work beside debian/. Makes it and its symbols in build/deb.
DEB_TREE := $(BUILD)/deb/sse-gateway-$(VERSION)

deb:
	@sh deploy/local/dependencies --check build deb
	@rm -rf $(BUILD)/deb && mkdir -p $(DEB_TREE)
	@cp -R common debian deploy docs gateway publisher-cli CHANGELOG.md LICENSE Makefile README.md SECURITY.md $(DEB_TREE)
	@cd $(DEB_TREE) && MAKEFLAGS= dpkg-buildpackage --build=binary --no-check-builddeps --no-sign
	@ls $(BUILD)/deb/*.deb

version:
	@echo $(VERSION)

FORMATTED = $(shell find gateway common publisher-cli tests -name node_modules -prune -o -name '*.[ch]' -print)
SCRIPTS   = $(shell grep -rlE --exclude-dir=node_modules '^\#!/(usr/)?bin/(env )?(ba)?sh' .ci deploy tests)
TIDY      = $(addprefix tidy/,$(SOURCES))

format:
	clang-format -i $(FORMATTED)

lint:
	@sh deploy/local/dependencies --check lint
	tests/lint/run
	@clang-format --dry-run --Werror $(FORMATTED)
	shellcheck $(SCRIPTS)
	cppcheck --quiet -j2 --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  -I. -D_GNU_SOURCE gateway common publisher-cli
	@$(MAKE) --no-print-directory -O -k -j"$$(nproc)" $(TIDY)

# One file a process: with several, clang-tidy 14 takes every va_list after the first file's for uninitialized.
.PHONY: $(TIDY)
$(TIDY): tidy/%:
	$(SAY) TIDY $*
	@found=$$(clang-tidy --quiet $* -- -std=c11 $(CPPFLAGS) 2>&1) || \
	  { printf '%s\n' "$$found" | grep -v ' generated\.$$'; exit 1; }

clean:
	rm -rf build

help:
	@printf '%s\n' \
	  'make run         the whole tier on this machine: Redis, three gateways, NGINX, a page' \
	  'make test        every test; installs what it needs' \
	  'make test-unit   the quick loop: unit tests' \
	  'make             build/sse-gateway and build/sse-publish' \
	  'make static      the same in build/static, for images that have no more than libc; they fetch no --jwks URL' \
	  'make install     PREFIX=/usr/local DESTDIR=; make uninstall likewise' \
	  'make deb         a Debian package, in build/deb; make version: its version' \
  'make format      clang-format over the tree' \
	  'make lint        rooms, clang-format, shellcheck, cppcheck, clang-tidy' \
	  'make bench       the gateway beside its peers, measured in turn; QUICK=1: under two minutes' \
	  'make bench-publish   durable events a second in Redis beside plain PUBLISH' \
	  'make bench-tokens    ARGS="--answers 1000 --tokens 2000 --rate 20": answers of language models, and what Redis and gateways pay' \
  'make bench-fronts    what NGINX, HAProxy and Caddy cost beside the gateway behind them' \
	  'make chaos       TIME=60 SEED=random SHAPE=single|sentinel|cluster: faults of all kinds, and what clients saw of them' \
	  'make torture     ONLY=malloc,send: one call fails, everything else works, and what clients saw of it' \
	  'make sim         deploys, growth and accidents of large tiers in a model; ARGS=--real: 10 real gateways beside it' \
	  'make screenshots     the pictures of docs/images, taken anew' \
	  'make rolling     STREAMS=6000 WINDOW=10: a rolling restart, and all gateways killed, behind NGINX and HAProxy, with tabs of browsers' \
	  'make fuzz        TIME=60: every fuzzer for that many seconds' \
	  'make clean       takes build/ away' \
	  'SANITIZER=address or thread with any of them: built under build/SANITIZER; V=1: whole commands'

-include $(shell find $(BUILD) -name deb -prune -o -type f -name '*.d' -print 2>/dev/null)
