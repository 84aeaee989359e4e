#!/bin/sh
# The steps of every part's pipeline, whichever service runs them:
#
#   part.sh test PART      runs the tests of the part
#   part.sh build PART     builds its image
#   part.sh push PART      pushes the image
#   part.sh deploy PART    rolls it out, and back if it does not come up
#
# REGISTRY   where images go, without a slash at the end
# TAG        what this build is called, for instance the commit
# NAMESPACE  where it runs (default: anticorona)
# REGISTRY_USER, REGISTRY_PASSWORD   if the registry wants to know who pushes
set -eu
cd "$(dirname "$0")/../.."

step=${1:-}
part=${2:-}
case $part in
    vaccine | booking | injection | mypage | gateway) ;;
    *)
        echo "part.sh: which part? vaccine, booking, injection, mypage or gateway" >&2
        exit 64
        ;;
esac

# How long a roll-out may take: a process is up in a second, five are asked one after another, and
# each old one has 30 s to end.
ROLLED_OUT_WITHIN=180s

namespace=${NAMESPACE:-anticorona}

image() {
    echo "${REGISTRY:?says where images go}/$part:${TAG:?says what this build is called}"
}

roll_out() {
    kubectl --namespace "$namespace" rollout status "deployment/$part" --timeout "$ROLLED_OUT_WITHIN"
}

case $step in
    test)
        cargo xtask test -- -p "$part"
        ;;
    build)
        docker build --file deploy/image/Dockerfile --build-arg "PART=$part" --tag "$(image)" .
        ;;
    push)
        image=$(image)
        if [ -n "${REGISTRY_PASSWORD:-}" ]; then
            echo "$REGISTRY_PASSWORD" |
                docker login --username "${REGISTRY_USER:?says who pushes}" --password-stdin "${REGISTRY%%/*}"
        fi
        docker push "$image"
        ;;
    deploy)
        image=$(image)
        kubectl --namespace "$namespace" set image "deployment/$part" "anticorona=$image"
        if ! roll_out; then
            echo "part.sh: $image does not come up: going back to what ran before" >&2
            kubectl --namespace "$namespace" get pods --selector "app.kubernetes.io/name=$part" >&2 || true
            kubectl --namespace "$namespace" logs --selector "app.kubernetes.io/name=$part" --tail 20 >&2 || true
            kubectl --namespace "$namespace" rollout undo "deployment/$part"
            roll_out
            exit 1
        fi
        ;;
    *)
        echo "part.sh: what to do? test, build, push or deploy" >&2
        exit 64
        ;;
esac
