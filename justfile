# What is done in this repository, each chore by one name. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
    @just --list --unsorted

# Build the program
build:
    cargo build --locked

# Run the tests, or some: `just test --test cli`, `just test -p sandbox-injector-engine golden`
test *ARGS:
    cargo test --locked {{ ARGS }}

# Write the golden files anew; then read the diff
golden:
    UPDATE_GOLDEN=1 cargo test --locked -p sandbox-injector-engine --test engine -- golden workload
    UPDATE_GOLDEN=1 cargo test --locked --test cli examples

# Format the code
fmt:
    cargo fmt
    cargo fmt --manifest-path fuzz/Cargo.toml

# Everything that is checked without running the program
lint: check-format clippy purity names spelling scripts

# Check that the code is formatted
check-format:
    cargo fmt --check
    cargo fmt --check --manifest-path fuzz/Cargo.toml

# The fuzzers are linted, not linked, so libFuzzer need not be compiled.
# Run clippy on both crates and the fuzzers
clippy:
    cargo clippy --locked --all-targets -- -D warnings
    CUSTOM_LIBFUZZER_PATH=/not-linked cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" -- -D warnings

# Check that the engine reaches nothing outside itself
purity:
    .ci/purity

# Check that no two public types share a name
names:
    .ci/names

# Check the spelling of code and prose
spelling:
    PATH=$(.ci/tools typos):$PATH && typos

# Check the shell scripts, the forge's workflows and this file
scripts:
    PATH=$(.ci/tools shellcheck actionlint):$PATH && shellcheck $(grep -lE '^#!.*\bbash' .ci/*) && actionlint
    just --fmt --check

# Build the documentation of the code, private items included
doc *ARGS:
    RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --document-private-items {{ ARGS }}

# Build the book, and check the links in it and in every Markdown file
book:
    PATH=$(.ci/tools mdbook):$PATH && mdbook build
    .ci/links

# Check the dependencies by licence, source and name
deny:
    PATH=$(.ci/tools cargo-deny):$PATH && cargo deny --locked check bans licenses sources

# Check the dependencies for known vulnerabilities
audit:
    PATH=$(.ci/tools cargo-deny):$PATH && cargo deny --locked check advisories

# Measure reviews, bytes in and bytes out
bench *ARGS:
    cargo bench --locked --bench review {{ ARGS }}

# Needs a nightly toolchain; fuzz/README.md says what the fuzzers look for.
# Fuzz for some seconds: review_decoder, review, configuration or pod_and_configuration
fuzz TARGET SECONDS='60':
    #!/usr/bin/env bash
    set -euo pipefail
    PATH=$(.ci/tools cargo-fuzz):$PATH
    mkdir -p fuzz/corpus/{{ TARGET }}
    while read -r seed; do
      base64 -d <<<"$seed" >"fuzz/corpus/{{ TARGET }}/$(sha1sum <<<"$seed" | cut -c1-40)"
    done <fuzz/seeds/{{ TARGET }}.b64
    inputs=() options=(-timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 -max_total_time={{ SECONDS }})
    for directory in fuzz/{corpus,found}/{{ TARGET }}; do
      [[ ! -d $directory ]] || inputs+=("$directory")
    done
    case {{ TARGET }} in
      pod_and_configuration) options+=(-len_control=0 -max_len=1024) ;;
      configuration) options+=(-dict=fuzz/dictionaries/configuration.dict -max_len=16384) ;;
      *) options+=(-dict=fuzz/dictionaries/review.dict -max_len=16384) ;;
    esac
    cargo +nightly fuzz run -s none --no-trace-compares {{ TARGET }} "${inputs[@]}" -- "${options[@]}"

# What has to hold before a change lands
ci:
    .ci/run
