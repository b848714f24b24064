from __future__ import annotations

import pytest

from services.verifier.answers import final_answer


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("2+3=5\n#### 5", "5"), ("#### 1,234 ", "1,234"), ("#### 5\nNo: it is 6.\n#### 6", "6"),
        ("#### \\boxed{7}", "7"),
        ("so \\boxed{\\frac{1}{\\sqrt{2}}} it is", "\\frac{1}{\\sqrt{2}}"), ("$\\boxed{\\{1, 2\\}}$", "\\{1, 2\\}"),
        ("\\boxed{1} is wrong, so \\boxed{2}", "2"), ("\\boxed{2} and \\boxed{3}", "2, 3"), ("\\boxed 5", "5"),
        ("\\fbox{12}", "12"), ("$\\boxed{2}$ 或 $\\boxed{3}$。", "2, 3"), ("\\boxed{\\text{(A)}}", "\\text{(A)}"),
        ("The answer is 5.", "5"), ("The answer is: 3.14.", "3.14"),
        ("the final answer is $\\frac{1}{2}$.", "$\\frac{1}{2}$"),
        ("**Answer:** 42", "42"), ("Answer: (B) 42", "(B) 42"), ("The answer is **7**.", "7"),
        ("Answer:\n\n12 apples", "12 apples"),
        ("The answer to the question is 9.", "9"), ("The answer is therefore 8.", "8"),
        ("The answers are 2 and 3.", "2 and 3"),
        ("The answer is 5. But checking, the answer is 6.", "6"), ("#### 5\nWait, so the answer is 6.", "6"),
        ("The answer is \\boxed{5}.", "5"), ("答案是5。", "5"), ("答案为：12元。", "12元"), ("答案：3/4", "3/4"),
        ("所以最终答案是 \\boxed{x=2}", "x=2"), ("答：一共有15个苹果。", "15个苹果"), ("最后结果是 72。", "72"),
        ("正确答案应该是B。", "B"), ("因此答案等于0.5", "0.5"),
        ("答：小明一共有72个苹果。", "72个苹果"), ("答：小明有3个，小红有5个。", "小明有3个，小红有5个"),
        ("答：至少需要5辆车。", "至少需要5辆车"), ("答：小明有三个，5个是红的。", "小明有三个，5个是红的"),
        ("so <answer>12</answer>", "12"), ("<answer>\\boxed{7}</answer>", "7"),
        ("选项A错误，选项B正确，故选B。", "B"), ("应选（C）", "（C）"), ("选AC", "AC"),
        ("The correct option is C) 42", "C) 42"),
        ("The answer is 12, since 5+7=12.", "12"), ("答案是12，因为5+7=12", "12"), ("72", "72"), ("x = 5", "x = 5"),
    ],
)  # fmt: skip
def test_the_marked_answer_is_found(response: str, found: str) -> None:
    answer = final_answer(response)
    assert answer is not None
    assert (answer.text, answer.marked) == (found, True)


@pytest.mark.parametrize("response", ["He had 5 and bought 7, which makes 12", "First 3, then 12"])
def test_the_last_number_is_no_marked_answer(response: str) -> None:
    answer = final_answer(response)
    assert answer is not None
    assert (answer.text, answer.marked) == ("12", False)


@pytest.mark.parametrize("response", ["", "I do not know what that would be, sorry.", "\\boxed{5"])
def test_nothing_is_found_where_nothing_is_said(response: str) -> None:
    answer = final_answer(response)
    assert answer is None or not answer.marked or answer.text == response
