"""An MLflow tracking server: the stack file says where, `platforms/` says how."""

import config
import platforms

platform = platforms.choose(config.platform())
platform.deploy(config.load(platform.Stack)).export()
