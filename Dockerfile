# syntax=docker/dockerfile:1
# A static binary on an empty base: no shell, no package manager, nothing to patch but the binary itself.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies alone: this layer is rebuilt only when they change.
COPY Cargo.toml Cargo.lock ./
COPY engine/Cargo.toml engine/
# Cargo reads the manifests of what the tests need, though it builds none of it here.
COPY tests/invariants/Cargo.toml tests/invariants/
COPY tests/support/Cargo.toml tests/support/
RUN mkdir src engine/src tests/invariants/src tests/support/src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs engine/src/lib.rs tests/invariants/src/lib.rs tests/support/src/lib.rs \
 && mkdir -p benches examples && touch benches/review.rs examples/floor.rs \
 && cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')" \
 && rm -r src engine/src

COPY engine/src engine/src
COPY src src
COPY manifests/components/default-config manifests/components/default-config
# The stand-ins above are newer than the sources, so cargo has to be told that they changed.
RUN touch src/main.rs src/lib.rs engine/src/lib.rs \
 && cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')" \
 && cp "target/$(rustc -vV | sed -n 's/^host: //p')/release/sandbox-injector" /sandbox-injector

FROM scratch
COPY --from=build /sandbox-injector /sandbox-injector
# Numeric, so that runAsNonRoot can be checked without a user database.
USER 65532:65532
EXPOSE 9443 8080
ENTRYPOINT ["/sandbox-injector"]
CMD ["serve", "--help"]
