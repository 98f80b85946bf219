import pickle

import pytest

from brainenc.core.errors import BrainencError, DataError, InputError, MissingExtraError, NotFoundError
from brainenc.core.extras import need


@pytest.mark.parametrize(
    ("cls", "base"), [(InputError, ValueError), (DataError, OSError), (MissingExtraError, ImportError), (NotFoundError, KeyError)]
)
def test_each_error_is_also_the_builtin_that_users_catch(cls, base):
    error = cls("it broke", where="here", expected=3, got=4, fix="mend it")
    assert isinstance(error, base) and isinstance(error, BrainencError)
    assert str(error) == "it broke [here]: expected 3, got 4. Mend it."


@pytest.mark.parametrize("cls", [InputError, DataError, MissingExtraError, NotFoundError])
def test_errors_cross_process_borders_with_their_text(cls):
    error = cls("it broke", where="here", fix="did you mean 'there'?")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(again) == str(error) == "it broke [here]. Did you mean 'there'?"


def test_a_missing_package_names_the_extra():
    with pytest.raises(MissingExtraError, match=r'pip install "brainenc\[text\]"'):
        need("a_package_that_is_not_there", "text", purpose="words")


@pytest.mark.parametrize(
    ("fix", "said"),
    [("folds=the run of each row", "folds=the run of each row."), ("be.Responses(x)", "be.Responses(x)."), ("leave it out", "Leave it out.")],
)
def test_what_is_to_be_typed_keeps_its_case(fix, said):
    assert str(InputError("it broke", fix=fix)) == f"it broke. {said}"
