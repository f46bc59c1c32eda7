# Sourced by ./dev: configuring and building a preset of CMakePresets.json.

# Configures only when it has to: ninja itself reruns CMake for changed or added files, but not for changed presets or newly
# installed packages.
configure_preset() {
  local preset=$1 cache=build/$1/CMakeCache.txt python=()
  [ -e "build/$preset/build.ninja" ] && [ ! CMakePresets.json -nt "$cache" ] && [ ! build/.packages -nt "$cache" ] && return 0
  rm -f "$cache"  # so that presets' new values count; unlike --fresh this keeps the objects
  [ ! -x "$venv/bin/python" ] || python=(-DPython3_EXECUTABLE="$PWD/$venv/bin/python")  # it has numpy, whose headers the package needs
  step "configuring $preset" "configure-$preset" cmake --preset "$preset" "${python[@]}" || return 1
  touch "$cache"
}

# build_preset PRESET [TARGET]
build_preset() {
  local preset=$1 target=${2:-all}
  grep -q "\"name\": \"$preset\", \"configurePreset\"" CMakePresets.json ||
    die "unknown preset '$preset'; there are: $(sed -n 's/.*"name": "\([a-z0-9]*\)", "configurePreset".*/\1/p' CMakePresets.json | tr '\n' ' ')"
  configure_preset "$preset" || exit 1
  step "building $preset" "build-$preset" cmake --build --preset "$preset" --target "$target" -j "$jobs" || exit 1
}
