# Every verb. `./scripts/test` and `cargo run --release` need none of them.

# list the verbs
default:
    @just --list

# start the gateway on embedded parts
run *arguments:
    cargo run --release -- {{arguments}}

# everything that must hold before a change goes in
test:
    ./scripts/test

# tests alone
quick:
    ./scripts/test quick

# tests of one crate
test-crate crate:
    cargo nextest run --package {{crate}}

lint:
    cargo clippy --workspace --all-targets -- -D warnings

fmt:
    cargo fmt --all

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# licences, bans and sources, offline
deny:
    cargo deny --offline check licenses bans sources

# the arrows of ARCHITECTURE.md against the crates
arrows:
    ./scripts/arrows

# write docs/errors.md anew from the table of codes
errors:
    UPDATE_DOCS=1 cargo nextest run --package gateway codes

# the limiter beside other ways to limit, on one Redis
bench-limits:
    cargo run --release --locked --package bench-limits

# the limiter over four processes for a minute, then script and arithmetic over ten million acts; half an hour
soak-limits:
    cargo run --release --locked --package bench-limits soak 60
    AGREE_RUNS=340000 cargo nextest run --release --locked --package ratelimit-redis agree::the_script --no-capture

# the unmodified client libraries against a gateway of their own
clients:
    ./scripts/clients

# every answer of a gateway of its own against what is documented: schemathesis, then ten thousand odd requests; three minutes
contract *arguments:
    ./scripts/contract {{arguments}}

# what official clients send, recorded anew for the validator's tests; six minutes
record *clients:
    ./scripts/record {{clients}}

# the gateway beside nginx on loopback; needs nginx and redis-server, takes four minutes
bench-line *arguments:
    cargo build --release --locked
    cargo build --release --locked --package bench-line
    "${CARGO_TARGET_DIR:-target}/release/bench-line" {{arguments}}

# the edge while certificates are exchanged and thousands of callers are slow, two minutes; `aborted`: while a hundred
# thousand leave in the middle of an answer, eight
bench-edge *part:
    cargo build --release --locked
    cargo build --release --locked --package bench-edge
    "${CARGO_TARGET_DIR:-target}/release/bench-edge" {{part}}

# what a check of an API key costs, under garbage and storms too, and how soon a revocation holds; three minutes
bench-keys:
    cargo run --release --locked --package bench-keys

# whether the time of a refusal tells why, with all samples; three minutes
bench-keys-timing:
    cargo run --release --locked --package bench-keys timing

# kill -9 under load, what a durable record costs beside the disk's own fdatasync, whether changes of a log are found, what a
# failing disk or database does; needs strace and Postgres
bench-audit *part:
    cargo build --release --locked
    cargo run --release --locked --package bench-audit {{part}}

# attacks on a model behind perturbed answers, and whether monitors see them; two minutes
bench-privacy *part:
    cargo build --release --locked
    cargo run --release --locked --package bench-privacy --bin bench-privacy {{part}}

# budgets of distinct queries over Redis, noise, the privacy ledger, the vote
bench-budgets *part:
    cargo run --release --locked --package bench-privacy --bin budgets {{part}}

# whether copies of protected texts, planted words and models in circles are found: directories to protect, `--`, others
bench-verbatim *paths:
    cargo run --release --locked --package bench-privacy --bin bench-verbatim -- {{paths}}

# what reading and checking a request costs beside others, and what memory a refused one takes; two minutes
bench-validate:
    cargo run --release --locked --package bench-validate --bin bench-validate
    cargo run --release --locked --package bench-validate --bin bench-validate-memory

# what screening costs on honest and on hostile text, and what memory a stream takes; four minutes
bench-sanitize:
    cargo run --release --locked --package bench-sanitize --bin bench-sanitize
    cargo run --release --locked --package bench-sanitize --bin bench-sanitize-memory

# what the score and the default rules find of attacks and of honest texts, in JSON lines with a label (S5, S7), whether a
# disguise changes a verdict (S6), and how data with a check sum is found (S9); half an hour
eval-sanitize corpus *honest:
    cargo run --release --locked --package sanitize --example evaluate -- {{corpus}} --honest {{honest}}
    cargo run --release --locked --package bench-sanitize --bin eval-disguises
    cargo run --release --locked --package sanitize --example checksums

# whether other JSON readers read what is accepted, and what is sent on, as it was read here
differential count="1000000" *seed:
    ./scripts/differential {{count}} {{seed}}

# every fuzz target for so many seconds, or those named; needs nightly Rust and cargo-fuzz
fuzz seconds *targets:
    ./scripts/fuzz {{seconds}} {{targets}}
