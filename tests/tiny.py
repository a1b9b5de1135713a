"""Tokenizers and texts small enough to read, built in code."""

import re
from typing import ClassVar

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

#: Ids follow RoBERTa, whose positions are counted from the padding id 1.
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
WORDS = """
    the a river boat hill village spring winter snow rain light dark old new small wide child woman man
    dog bird tree stone bridge road house garden water fire wind sea moon sun star day night year hour
    rose fell ran sang slept woke built broke saw heard left came went was is and or but in on under over
    every no one two three slowly quickly never always . , ! ? ; morning evening letter song story door
""".split()  # noqa: SIM905
VOCABULARY = {word: number for number, word in enumerate([*SPECIALS, *WORDS])}
VOCABULARY_SIZE = len(VOCABULARY)

TEXTS = (
    "The river rose in spring, and every boat was under the bridge. The old man slept.",
    "Snow fell.",
    "A bird sang in the garden every morning! The child heard the song, and the dog never woke. Night came.",
    "The village was small and the road was wide and the hill was old.",
    "No one saw the light; the sea was dark.",
    "Rain?",
    "One day a woman built a house on the stone hill. Two years went slowly. The wind broke the door.",
    "The letter left, the story is new.",
)
TEMPLATES = {
    "both": ("<s> $A </s>", ("<s>", "</s>")),
    "start": ("<s> $A", ("<s>",)),
    "end": ("$A </s>", ("</s>",)),
}


def make_tokenizer(template="both", *, has_pad=True, padding_side="right", max_tokens=None):
    """Word-level tokenizer; ``template`` says which special tokens stand around a text ("none": no token)."""
    core = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    core.normalizer = normalizers.Lowercase()
    if template != "none":
        single, used = TEMPLATES[template]
        core.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[(token, VOCABULARY[token]) for token in used]
        )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
    if has_pad:
        names["pad_token"] = "<pad>"
    limit = {} if max_tokens is None else {"model_max_length": max_tokens}
    return PreTrainedTokenizerFast(tokenizer_object=core, padding_side=padding_side, **names, **limit)


class SlowTokenizer(PreTrainedTokenizer):
    """The same words in pure Python: no offsets."""

    vocab_files_names: ClassVar[dict] = {}

    def __init__(self, **kwargs):
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", **kwargs)

    @property
    def vocab_size(self):
        return VOCABULARY_SIZE

    def get_vocab(self):
        return dict(VOCABULARY)

    def _tokenize(self, text, **kwargs):
        return re.findall(r"\w+|[^\w\s]", text.lower())

    def _convert_token_to_id(self, token):
        return VOCABULARY.get(token, VOCABULARY["<unk>"])

    def _convert_id_to_token(self, index):
        return [*VOCABULARY][index]

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [VOCABULARY["<s>"], *token_ids_0, VOCABULARY["</s>"]]

    def save_vocabulary(self, save_directory, filename_prefix=None):
        return ()
