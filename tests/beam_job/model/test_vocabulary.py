import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.model.vocabulary import END, PADDING, SPECIAL, START, UNKNOWN, Vocabulary, join_clitics

TOKENS = st.text(min_size=1, max_size=5).filter(lambda token: token.split() == [token] and token not in SPECIAL)


@pytest.mark.parametrize("special", list(itertools.permutations(SPECIAL)))
def test_special_tokens_are_found_wherever_they_stand(special):
    vocabulary = Vocabulary([special[0], "a", special[1], special[2], "dog", special[3]])
    ids = (vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id, vocabulary.end_id)
    assert [vocabulary.tokens[number] for number in ids] == [PADDING, UNKNOWN, START, END]
    assert vocabulary.encode(["a", "cat", "dog"]) == [1, vocabulary.unknown_id, 4]
    assert "dog" in vocabulary
    assert "cat" not in vocabulary
    assert len(vocabulary) == 6


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([PADDING, START], r"lacks \[UNK\], <end>"),
        ([], "lacks <pad>"),
        ([*SPECIAL, "a", "dog", "a"], "lines 5 and 7 both contain 'a'"),
        ([*SPECIAL, ""], "line 5 is ''"),
        ([*SPECIAL, "a dog"], "line 5 is 'a dog'"),
        ([*SPECIAL, " dog"], "line 5 is ' dog'"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens)


@pytest.mark.parametrize("number", [-1, 4])
def test_ids_outside_are_refused(number):
    with pytest.raises(IndexError, match=f"Id {number} is outside the vocabulary of 4 tokens"):
        Vocabulary(SPECIAL).decode([0, number])


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("a dog", "A dog."),
        ("a dog's ball", "A dog's ball."),
        ("a dog 's ball", "A dog's ball."),
        ("it does n't move", "It doesn't move."),
        ("they 're dogs , we 'd say", "They're dogs , we'd say."),
        ("the dogs ' ball", "The dogs ' ball."),  # a quotation mark as likely
        ("'s ball", "'s ball."),
        ("<start> a [UNK] 's ball <end> <pad>", "A's ball."),
        ("été", "Été."),
        ("<start> <end>", ""),
        ("", ""),
    ],
)
def test_text_is_a_sentence(tokens, text):
    assert Vocabulary(SPECIAL).text(tokens.split()) == text


def test_clitics_alone_are_joined():
    assert join_clitics("she 'll 've , it 's 'small") == "she'll've , it's 'small"


@given(st.lists(TOKENS, unique=True, max_size=20), st.randoms())
def test_lines_and_ids_lead_back(words, random):
    tokens = random.sample([*words, *SPECIAL], len(words) + len(SPECIAL))
    vocabulary = Vocabulary(tokens)
    assert Vocabulary.from_lines(vocabulary.to_lines()).tokens == tuple(tokens)
    assert vocabulary.decode(vocabulary.encode(tokens)) == tokens
    assert vocabulary.encode(vocabulary.decode(range(len(vocabulary)))) == list(range(len(vocabulary)))
