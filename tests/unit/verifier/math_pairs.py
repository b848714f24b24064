"""Pairs of answers with what is true of them: (reference, answer, whether they agree)."""

PLAIN = [
    # whole numbers, signs, separators
    ("72", "72", True), ("72", "73", False), ("72", "72.0", True), ("-5", "-5", True), ("-5", "5", False),
    ("1,234", "1234", True), ("1,234,567", "1234567", True), ("1 234 567", "1234567", True), ("10000", "10,000", True),
    ("1,234", "1.234", False), ("0", "-0", True), ("007", "7", True), ("−3", "-3", True), ("+4", "4", True),
    ("1{,}234", "1234", True), ("12\\,345", "12345", True), ("72.", "72", True), ("**72**", "72", True),
    # decimals
    ("0.5", ".5", True), ("0.50", "0.5", True), ("3.14", "3.15", False), ("2.5", "2.50", True), ("0.1", "0.01", False),
    # money and units
    ("$18", "18", True), ("18", "\\$18", True), ("$1,000.00", "1000", True), ("€5", "5", True), ("¥30", "30", True),
    ("18", "18 dollars", True), ("18", "19 dollars", False), ("5", "5 apples", True), ("60", "60 km/h", True),
    ("12 cm", "12", True), ("12", "12\\text{ cm}", True), ("12", "12\\ \\text{cm}", True), ("3", "3 hours", True),
    ("30", "30^\\circ", True), ("30", "30°", True), ("31", "30°", False), ("100", "100 m", True),
    # percents
    ("50%", "50%", True), ("50%", "0.5", True), ("50", "50%", True), ("50\\%", "50%", True), ("50%", "40%", False),
    ("12.5%", "0.125", True), ("百分之五十", "50%", True), ("百分之20", "20%", True), ("50％", "50%", True),
    # fractions
    ("1/2", "0.5", True), ("1/2", "2/4", True), ("1/2", "1/3", False), ("-1/2", "-0.5", True),
    ("3/4", "\\frac{3}{4}", True),
    ("\\frac{1}{2}", "\\dfrac{1}{2}", True), ("\\tfrac12", "\\frac{1}{2}", True), ("\\frac{3}{4}", "0.75", True),
    ("-\\frac{1}{2}", "\\frac{-1}{2}", True), ("\\frac{6}{8}", "\\frac{3}{4}", True),
    ("\\frac{1}{2}", "\\frac{2}{3}", False),
    ("1\\frac{1}{2}", "1.5", True), ("1 1/2", "3/2", True), ("2 1/4", "9/4", True), ("2 1/4", "2/4", False),
    ("二分之一", "1/2", True), ("四分之三", "0.75", True), ("四分之三", "4/3", False),
    # Chinese
    ("72", "72元", True), ("72", "７２", True), ("72", "72个苹果", True), ("72", "73个苹果", False),
    ("5", "5小时", True),
    ("3万", "30000", True), ("1.5亿", "150000000", True), ("3万", "3000", False), ("五", "5", True),
    ("十二", "12", True),
    ("二十三", "23", True), ("一百零五", "105", True), ("两千三百", "2300", True), ("二十三", "32", False),
    # powers of ten
    ("1e3", "1000", True), ("3 \\times 10^4", "30000", True), ("3 \\times 10^{-2}", "0.03", True),
    ("3\\cdot10^4", "3000", False),
    # words and choices
    ("yes", "Yes", True), ("yes", "no", False), ("Monday", "monday.", True), ("Monday", "Tuesday", False),
    ("A", "(A)", True), ("B", "B.", True), ("A", "(B)", False), ("\\text{yes}", "yes", True), ("是", "否", False),
    # sets, tuples, intervals
    ("\\{1,2,3\\}", "\\{3,2,1\\}", True), ("\\{1,2\\}", "\\{1,3\\}", False), ("\\{1,2\\}", "\\{1,2,3\\}", False),
    ("(1,2)", "(1, 2)", True), ("(1,2)", "(2,1)", False), ("[0,1)", "[0, 1)", True),
    ("[0,1)", "(0,1]", False), ("(\\frac{1}{2}, 3)", "(0.5, 3)", True), ("\\left(1,2\\right)", "(1,2)", True),
    ("(-\\infty, 3]", "(-\\infty,3]", True), ("(-\\infty, 3]", "(-\\infty,3)", False), ("[1,2]", "[1,3]", False),
    # matrices
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", True),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}", True),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}", False),
    ("\\begin{pmatrix}1&0.5\\end{pmatrix}", "\\begin{pmatrix}1&\\frac{1}{2}\\end{pmatrix}", True),
    # units that differ
    ("12 cm", "12 m", False), ("5 kg", "5 g", False),
    # several units, choices with what they say, about
    ("200 minutes", "3 hours and 20 minutes", True), ("3 hours", "3 hours and 20 minutes", False),
    ("66 inches", "5 feet 6 inches", True), ("2.5小时", "2个小时30分钟", True), ("3元5角", "3.5元", True),
    ("5.2", "$5 and 20 cents", True), ("5", "(A) 5", True), ("(A) 6", "5", False), ("(B) Paris", "Paris", True),
    ("{3,-1}", "$x=3$ 或 $x=-1$", True), ("42", "$$42$$", True), ("$5 or $6", "5 or 6", True),
    ("5", "5\\text{ kPa}", True), ("5 N", "5\\text{ N}", True), ("5 kJ", "5000 joules", True), ("5 kJ", "5 kW", False),
    ("\\begin{bmatrix}1&0\\\\0&1\\end{bmatrix}", "\\left[\\begin{array}{cc}1&0\\\\0&1\\end{array}\\right]", True),
    # a name before the value
    ("5", "x = 5", True), ("5", "x=6", False), ("x=5", "5", True), ("12", "\\boxed{12}", True), ("12", "$12$", True),
]  # fmt: skip

# What is certain to differ and must never pass without algebra: signs and brackets carry the meaning.
NEVER_THE_SAME = [
    ("x+1", "x-1"), ("x<3", "x>3"), ("a/b", "a*b"), ("-x", "x"), ("x=2", "x≠2"), ("[0,1)", "(0,1]"), ("2^{3}", "2_{3}"),
    ("5", "5x"), ("5", "5xy"), ("3", "3\\pi"), ("3", "3 pi"), ("53", "5--3"), ("2", "2\\sqrt{3}"), ("5", "5!"),
    ("1/2", "1/2x"), ("12", "1 2"), ("(-\\infty,3]", "[-\\infty,3)"), ("x \\le 3", "x \\ge 3"), ("5", "5 or 6"),
    ("e", "-e"), ("i", "-i"), ("A \\cup B", "A \\cap B"), ("\\frac{1}{2}", "\\frac{2}{1}"), ("a b", "a-b"), ("5", "-5"),
    ("5", "5\\times 2"), ("3", "3e"), ("2", "2 sqrt"), ("x", "X'"), ("\\frac{1+2}{3}", "1+2/3"), ("x_1", "x^1"),
    ("42", "42左右"), ("7/8", "7/8 of a cup"), ("5", "5 N"), ("42", "42多个"), ("42", "~42"),
    ("Monday", "星期二"), ("B", "Paris"), ("(A) x+1", "x-1"),
    ("10", "10^2"), ("5", "5 + 1"), ("A cat", "A dog"), ("A: x+1", "B: x+1"), ("x-1", "-x+1"),
]  # fmt: skip
