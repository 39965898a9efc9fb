"""The text of a recipe."""

from inception_jax.config.migration import migration as lib


def test_a_recipe_is_python_whatever_is_in_the_config():
  hostile = '"""\\\n#{x}\x1b\ud800' + "'" * 3
  values = {'dir': hostile, 'b': hostile, hostile: 1}
  migration = lib.Migration(values, frozenset(values), 'digits')
  migration.map('data.dir', hostile, 'dir')
  migration.drop('b', 'why not')
  migration.finish({'dir', 'b'})
  text = lib.recipe(migration, hostile, hostile)
  names = {}
  exec(compile(text.encode(errors='backslashreplace'), 'x', 'exec'), names)
  config = names['get_config']()
  assert config.data.dir == hostile
  assert 'why not' in names['__doc__']
  assert 'not a key of these configs' in names['__doc__']
