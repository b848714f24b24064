"""In which language a text is: by script, and for Latin letters by function words. [own]: no model, no download."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

# What is not prose: code, formulas, addresses, marks.
_OTHER_THAN_PROSE = re.compile(
    r"```.{0,20000}?(?:```|\Z)|`[^`\n]{1,200}`|\$[^$\n]{1,400}\$|\\[A-Za-z]+|https?://\S+|<[^<>\n]{1,80}>|[\w.+-]{1,64}@[\w.-]{1,255}",
    re.DOTALL,
)
_CODE_LINE = re.compile(
    r"^[^\n]{0,400}[;{}][ \t]*$|^[ \t]*(?:#include|#!|@|//|/\*|</?)[^\n]{0,400}$"
    r"|^[ \t]*(?:def|class|import|from|return|function|const|let|var|if|elif|else|for|while|with|try|except|print|"
    r"public|private|static|using|package|val|fn|func|struct|echo|select|insert|create|where)\b[^\n]{0,200}"
    r"[=(){}\[\]:*<>][^\n]{0,200}$"
    r"|^[ \t]*[\w.\[\]]{1,60} ?[-+*/]?=[^\n]{0,400}$|^[ \t]*[\w.]{1,60}\([^\n]{0,300}\)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK = re.compile(rf"[\u3040-\u30ff{_HAN}\uac00-\ud7af]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
LONGEST = 20_000
_FEWEST = 4
_MARGIN = 1.25

_FUNCTION_WORDS = {
    "en": "the of and to a in is that it for was on are as with his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then she many "
    "some so these would other into has her two like him see could no than been who its now did get may over any "
    "how's don't i you he me my our us am does why where while should because after before between such also only "
    "much more most very there's it's write give make find using following list describe explain create given",
    "de": "der die das und ist in den von zu mit sich des auf für nicht ein eine als auch es an werden aus er hat dass "
    "sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr "
    "durch man sein wurde sei ihr ich wir kann wenn ihre dieser diese dieses unter keine kein bitte wurden muss",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la les aux "
    "avec son sa ses cette ces mais ou où comme nous vous ils elle être été peut fait leur tout même sans si je on "
    "votre notre dont entre aussi bien doit était c'est d'un d'une n'est qu'il l'on veuillez cet été aucun",
    "es": "de la que el en y a los del se las por un para con no una su al lo como más pero sus le ya o este sí porque "
    "esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les ni contra "
    "otros ese eso ante ellos e esto mí antes algunos qué unos yo otro otras otra él tanto esa estos es son está fue",
    "it": "di e il la che in un per è una non con si da del le dei alla come sono al più anche della gli lo ha nel "
    "delle nella i ma ci se questo questa o su ai dal degli essere stato ho hanno suo sua loro quando dove molto tra "
    "fra perché dalla sul sulla cui chi tutti ogni puoi deve può era",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu "
    "sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter "
    "seus quem nas me esse eles estão você tinha foram essa num nem suas meu às minha são deve pode",
    "nl": "de het een en van in is dat op te zijn met voor niet die aan er om ook als dan maar bij nog naar uit door "
    "over ze zich hij of wordt worden kan werd was heeft hebben deze dit geen wel je ik we moet al meer u uw tot wat",
    "sv": "och i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så kan när "
    "man nu eller efter vid också ska mot in vad hur där detta bara måste alla finns dessa kunde skulle inga du din",
    "pl": "i w na z nie się do to że jest o jak po co tak za od ale przez dla czy już być są oraz może tylko jego tego "
    "był była przy pod które który która lub musi ten ta te jej ich tym gdy tej ma można bez proszę nad",
    "tr": "ve bir bu için ile da de çok en olarak daha ne olan gibi var mı değil ama o kadar sonra her ki mi ya veya "
    "olduğu ben sen biz bunu şu tarafından lütfen olmalıdır bütün hiç nasıl göre içinde ise ancak",
    "id": "yang dan di untuk dengan dari pada ini itu dalam tidak adalah akan ke atau juga oleh ada sebagai telah bisa "
    "saya anda kami mereka dapat karena lebih seperti tersebut sudah harus hanya bagi setiap jika saat",
    "vi": "và của là có cho không được các một trong người với những khi đã này để từ tôi bạn như về nhiều đến "
    "ra cũng phải nếu vào sẽ hay đó trên bị hoặc",
}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _language, _words in _FUNCTION_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _language)


@dataclass(frozen=True, slots=True)
class Language:
    """What a text is written in.

    Attributes
    ----------
    name : str
        `en`, `zh`, `ja`, `ko`, `de`, `fr`, `es`, `it`, `pt`, `nl`, `sv`, `pl`, `tr`, `id`, `vi`; `other` for another
        script or a Latin text in none of these; `unknown` where the text does not tell, `mixed` where it holds two.
    share : float
        Share of the words (a CJK character counts as one) that speak for it, 0 to 1.
    words : int
        Words that were looked at.
    """

    name: str
    share: float
    words: int

    @property
    def known(self) -> bool:
        """Whether the text told."""
        return self.name not in ("unknown", "mixed")


def language_of(text: str) -> Language:
    """Return the language of the prose in a text, of which the first 20,000 characters are read."""
    prose = unicodedata.normalize("NFC", _CODE_LINE.sub(" ", _OTHER_THAN_PROSE.sub(" ", text[:LONGEST])))
    signs = _CJK.findall(prose)
    words = [word.replace("’", "'") for word in _WORD.findall(_CJK.sub(" ", prose))]
    count = len(signs) + len(words)
    if count < _FEWEST:
        return Language("unknown", 0.0, count)
    if signs:
        # A word of Chinese is 1.6 characters on average.
        share = len(signs) / (len(signs) + 1.6 * len(words))
        if share >= 0.55:
            return Language(_east_asian(signs), share, count)
        if share > 0.15:
            return Language("mixed", share, count)
    scripts = Counter(map(_script, words))
    script, frequency = scripts.most_common(1)[0] if words else ("", 0)
    if script != "LATIN":
        return Language("other" if frequency * 2 > count else "mixed", frequency / count, count)
    return _latin([word for word in words if _script(word) == "LATIN"], count)


def _east_asian(signs: list[str]) -> str:
    joined = "".join(signs)
    if len(_HANGUL.findall(joined)) * 3 > len(signs):
        return "ko"
    return "ja" if len(_KANA.findall(joined)) * 20 > len(signs) else "zh"


def _script(word: str) -> str:
    return "LATIN" if word[0] <= "\u024f" else unicodedata.name(word[0], "?").partition(" ")[0]


def _latin(words: list[str], count: int) -> Language:
    votes = dict.fromkeys(_FUNCTION_WORDS, 0.0)
    spoke: dict[str, set[str]] = {language: set() for language in _FUNCTION_WORDS}
    for word in words:
        # A letter is a variable; a word of several languages speaks for each of them, but less.
        claimed = _LANGUAGES_OF.get(word.casefold(), ()) if len(word) > 1 else ()
        for language in claimed:
            votes[language] += 1 / len(claimed)
            spoke[language].add(word)
    (best, score), (_, second) = sorted(votes.items(), key=lambda vote: -vote[1])[:2]
    # A capital may begin a name, which may be of anywhere.
    foreign = sum(word[0].islower() and not word.isascii() for word in words) / max(1, len(words))
    if score >= max(1.5, 0.08 * len(words)) and score >= _MARGIN * second and len(spoke[best]) > 1:
        return Language(best, score / count, count)
    if foreign > 0.15 and len(words) >= 8:
        return Language("other", foreign, count)
    return Language("unknown", score / count, count)


def function_words(language: str) -> frozenset[str]:
    """Return the function words of a language by its code."""
    return frozenset(_FUNCTION_WORDS[language].split())
