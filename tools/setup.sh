#!/usr/bin/env bash
# Make .venv: Python packages, ROS 2 (wheels, unless a ROS 2 distribution is sourced), our messages
# and the stand-ins for the ROS packages that are missing. Writes nothing outside the checkout, but
# installs a missing compiler or venv module with apt where that needs no password.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv
log=$venv/setup.log
mkdir -p "$venv"
touch "$venv/COLCON_IGNORE" # a ROS prefix is in there, which is not to be built again

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}
# run DESCRIPTION COMMAND…: quiet unless it fails
run() {
  say "$1"
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    fail "'$*' failed; its whole output is in $log"
  }
}
hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
imports() { "$venv/bin/python" -c "import $1" 2>/dev/null; }

system_packages() {
  local missing=()
  command -v c++ >/dev/null || missing+=(g++)
  command -v make >/dev/null || missing+=(make)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ -f "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing+=(python3-dev)
  # OpenCV, which mediapipe brings, links these two.
  ldconfig -p 2>/dev/null | grep -q 'libGL\.so\.1' || missing+=(libgl1)
  ldconfig -p 2>/dev/null | grep -q 'libglib-2\.0\.so\.0' || missing+=(libglib2.0-0)
  [ ${#missing[@]} -eq 0 ] && return
  local install="apt-get install -y ${missing[*]}"
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}; install them with this system's package manager"
  if [ "$(id -u)" -eq 0 ]; then
    run "Installing ${missing[*]}" bash -c "apt-get update && DEBIAN_FRONTEND=noninteractive $install"
  elif sudo -n true 2>/dev/null; then
    run "Installing ${missing[*]}" bash -c "sudo -n apt-get update && sudo -n DEBIAN_FRONTEND=noninteractive $install"
  else
    fail "missing: ${missing[*]}; run: sudo $install"
  fi
}

# The plain torch wheel carries several GB of CUDA: without an NVIDIA driver the CPU build is taken,
# from where pip is told to look or else by uv, which knows where CPU builds are.
torch() {
  imports torch && return
  if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    run "Installing torch (CUDA)" "$venv/bin/pip" install torch
  elif ! "$venv/bin/pip" install --only-binary=:all: 'torch==2.13.0+cpu' >"$log" 2>&1; then
    run "Installing uv" "$venv/bin/pip" install uv
    run "Installing torch (CPU)" "$venv/bin/uv" pip install --python "$venv/bin/python" --torch-backend=cpu torch
  fi
}

python_packages() {
  local stamp wanted
  stamp=$venv/.requirements
  wanted=$(hash_of requirements/*.txt)
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  [ -x "$venv/bin/pip" ] || run "Making the environment .venv" python3 -m venv ${ROS_DISTRO:+--system-site-packages} "$venv"
  say "Installing torch"
  torch
  local files=() name
  for name in core replay video train pose cluster dev; do files+=(-r "requirements/$name.txt"); done
  # Drives the report's page, where there is a browser; 165 MB that nothing else needs.
  ! command -v chromium chromium-browser google-chrome >/dev/null || files+=(-r requirements/browser.txt)
  imports rclpy && [ -n "${ROS_DISTRO:-}" ] || files+=(-r requirements/underlay.txt)
  run "Installing the Python packages (a minute or two)" "$venv/bin/pip" install "${files[@]}"
  # coal brings Boost's headers, 190 MB that nothing is compiled against
  rm -rf "$venv"/lib/python3*/site-packages/cmeel.prefix/include
  run "Correcting the include folders of the ROS 2 wheels" "$venv/bin/python" tools/correct_export_paths.py
  echo "$wanted" >"$stamp"
}

# build FOLDER [OPTION…]: configure, compile and install an ament package; symbolic links to its Python files,
# so that editing one needs no rebuild. Nothing is compiled again while its build files are the same.
build() {
  local source=$1 name stamp wanted
  shift
  name=$(basename "$(cd "$source" && pwd)")
  [ "$source" = . ] && name=ses_gcn_ros
  stamp=$venv/build/$name/.built
  # shellcheck disable=SC2046 # no blank is in these names
  wanted=$(hash_of "$venv/.requirements" $(find "$source"/{CMakeLists.txt,package.xml,msg,resource,*/CMakeLists.txt,*/msg,*/srv} -type f 2>/dev/null | sort))$*
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    run "Building $name" bash -c "
      '$venv/bin/cmake' -S '$source' -B '$venv/build/$name' -DCMAKE_INSTALL_PREFIX='$venv' \
        -DCMAKE_PREFIX_PATH='$venv' -DPython3_EXECUTABLE='$venv/bin/python' -DPython3_FIND_VIRTUALENV=ONLY \
        -DAMENT_CMAKE_SYMLINK_INSTALL=1 -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release $* &&
      '$venv/bin/cmake' --build '$venv/build/$name' --parallel $(nproc)"
  fi
  # From its folder: a symlinked install leaves its manifest where it is run.
  (cd "$venv/build/$name" && "$venv/bin/cmake" --install . >"$log" 2>&1) || fail "installing $name failed; see $log"
  echo "$wanted" >"$stamp"
}

# served PACKAGE: whether a sourced distribution brings it, so that no stand-in is wanted
served() {
  "$venv/bin/python" - "$1" "$venv" <<'EOF'
import importlib.util
import sys

package, environment = sys.argv[1:]
spec = importlib.util.find_spec(package)
sys.exit(not (spec and spec.origin and not spec.origin.startswith(environment)))
EOF
}

# The environment as an underlay for colcon, as /opt/ros/<distribution>/setup.bash is.
write_setup_file() {
  cat >"$venv/setup.bash" <<EOF
source "$venv/bin/activate"
export AMENT_PREFIX_PATH="$venv\${AMENT_PREFIX_PATH:+:\$AMENT_PREFIX_PATH}"
export CMAKE_PREFIX_PATH="$venv\${CMAKE_PREFIX_PATH:+:\$CMAKE_PREFIX_PATH}"
EOF
}

system_packages
python_packages
write_setup_file
export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
for package in tf2_msgs tf2_ros; do
  served $package || build underlay/$package
done
# What the bridge says to robot drivers, for the simulated ones.
drivers=
for package in abb_robot_msgs control_msgs dsr_msgs2 nav2_msgs ur_msgs xarm_msgs; do
  served $package || drivers+="$package;"
done
[ -z "$drivers" ] || build underlay/driver_msgs "'-DPACKAGES=$drivers'"
build .
# Now rather than when the first node starts, and again where the code changed; from elsewhere, so that
# it is the installed package.
code=$(hash_of $(find ses_gcn_ros -name '*.py' | sort))
if [ "$(cat "$venv/.compiled" 2>/dev/null)" != "$code" ]; then
  (cd / && run "Compiling the kernels, about 20 s the first time" "$venv/bin/python" -c '
import ses_gcn_ros.actions.engine
import ses_gcn_ros.forecast.adaptive
import ses_gcn_ros.forecast.forecaster
import ses_gcn_ros.studies.attack_world
from ses_gcn_ros import forecast, safety
from ses_gcn_ros.transforms import TransformBuffer
TransformBuffer("world")
forecast.load()
safety.compile_all()')
  echo "$code" >"$venv/.compiled"
fi
