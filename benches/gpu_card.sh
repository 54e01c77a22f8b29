#!/usr/bin/env bash
# A card measured in at most eight minutes, on a machine without a network:
#
#     benches/gpu_card.sh FOLDER OUT [arguments of gpu_card.py]
#
# FOLDER holds the wheels: fastnn-rs, numpy, wgpu with cffi, pycparser and rendercanvas, and for the
# cases of rows pytest with iniconfig, packaging, pluggy and pygments; where the machine has no
# Vulkan loader, its Debian package (libvulkan1) too. `pip download 'fastnn-rs[gpu]' pytest -d FOLDER`
# gathers them. They are installed into a folder that goes again. OUT gets card.json.
set -euo pipefail
if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo "usage: $0 FOLDER_OF_WHEELS OUT [arguments of gpu_card.py]" >&2
    exit 2
fi
begin=$SECONDS
wheels=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
shift 2
here=$(realpath "$(dirname "$0")")
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT

# What the machine has installed, PyTorch for one, is there still: only names of `site` come first.
pytest=()
compgen -G "$wheels/pytest-*.whl" >/dev/null && pytest=(pytest)
"$python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels" \
    --target "$site/python" 'fastnn-rs[gpu]' "${pytest[@]}"
export PYTHONPATH="$site/python"

for package in "$wheels"/*.deb; do
    [ -e "$package" ] && dpkg-deb --extract "$package" "$site/system"
done
libraries=$(find "$site" -name 'lib*.so*' -path '*/system/*' -printf '%h:' | tr ':' '\n' | sort -u | paste -sd:)
[ -n "$libraries" ] && export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# Containers keep the description of NVIDIA's driver where the loader does not look.
if [ -z "${VK_DRIVER_FILES:-}" ] && ! compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null &&
    ! compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null; then
    for driver in /usr/local/nvidia/share/vulkan/icd.d/*.json; do
        [ -e "$driver" ] && export VK_DRIVER_FILES="$driver"
    done
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$site}"

cd "$out" # not the checkout, whose sources are no installed package
minutes=$(awk "BEGIN { print 8 - ($SECONDS - $begin) / 60 }")
"$python" "$here/gpu_card.py" --out "$out/card.json" --minutes "$minutes" "$@"
