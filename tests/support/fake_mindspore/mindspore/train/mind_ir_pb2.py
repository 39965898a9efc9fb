"""The message of a MINDIR, which is JSON here."""

import json
import types


class ModelProto:
  @staticmethod
  def FromString(content):
    return types.SimpleNamespace(user_info=json.loads(content))
