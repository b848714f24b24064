# ruff: noqa: E501, SIM905 - tables of prose read best as one entry a line
"""Chinese arithmetic word problems with worked answers, from templates of one to five steps."""

import random

from examples.demo_lake.arithmetic import decimal_text, draw_numbers, work_out
from examples.demo_lake.mathematics_en import Problem
from examples.demo_lake.rows import Row, RowMaker, spin

_NAMES = "小明 小红 小刚 小丽 王芳 李强 张伟 刘洋 陈静 赵敏 周杰 吴昊 郑爽爽 孙悦 林涛 何欣 高飞 马超然 罗兰 梁思雨 宋雨 唐糖 韩梅 冯程".split()
_PLACES = "城东 河西 北山 南湖 柳镇 青石村 云溪 梅岭 海滨 桃园 石桥 安平".split()
_ITEMS = "铅笔 贴纸 气球 书签 风筝 纽扣 贝壳 卡片 玩具车 橡皮 明信片 灯笼 积木 邮票 徽章 画册".split()
_FRUIT = "苹果 桃子 梨 橘子 柿子 李子 杏子 石榴".split()
_DAYS = "星期一 星期二 星期三 星期四 星期五 星期六 星期天".split()
_OPENERS = (
    "{day}，{place}[下着小雨|天气晴朗|刮着大风|格外热闹]。",
    "[请看下面这道题|下面是{m}出的题目|这是{place}小学的练习]。",
    "{m}在{place}[散步时|等车时|吃午饭时]想到一个问题。",
    "[请一步一步地算|请写出每一步|想一想再回答]，帮帮{place}的{m}。",
)

PROBLEMS = (
    Problem(
        "a 12:90:2; b 3:20",
        "{n}[上午|昨天]卖出{a}个{item}，[下午|今天]卖出的比前面多{b}个。{n}一共卖出多少个{item}？",
        "后来卖出<x=a+b>个。\n一共卖出<t=a+x>个。",
    ),
    Problem(
        "b 5:25; c 6:36",
        "[{place}商店|{n}家的小店|{place}的仓库][运来|收到]{b}箱{item}，每箱{c}个，[共有|总共是]多少个{item}？",
        "每箱{c}个，{b}箱就是<t=b*c>个。",
    ),
    Problem(
        "p 3:12; k 2:9; q 2:8; w 160:250:10",
        "{n}[在{place}|{day}]买了{p}个{item}，每个{k}元，又买了{q}斤{fruit}，每斤6元。付了{w}元，应找回多少元？",
        "{item}用去<x=p*k>元。\n{fruit}用去<y=q*6>元。\n合计<z=x+y>元。\n应找回<t=w-z>元。",
    ),
    Problem(
        "s 3:12; k 4:20; g 2:9; u = s*k+g",
        "[老师|{n}]有{u}个{item}，[弄丢了|送给{m}]{g}个，剩下的平均分给{s}个[小朋友|同学]，每人分到几个？",
        "剩下<x=u-g>个。\n每人分到<t=x/s>个。",
    ),
    Problem(
        "v 40:90:5; h 2:6; w 15:60:5",
        "[一辆汽车|{n}开车]从{place}出发，每小时行{v}千米，行了{h}小时后，离目的地还有{w}千米。全程多少千米？",
        "已经行了<x=v*h>千米。\n全程是<t=x+w>千米。",
    ),
    Problem(
        "l 8:40; w 4:25; c 6:30",
        "{place}有一块长{l}米、宽{w}米的[菜地|花园|操场]，四周围上篱笆，每米{c}元，[一共要|需要花]多少元？",
        "长与宽的和是<s=l+w>米。\n周长是<p=s*2>米。\n篱笆要<t=p*c>元。",
    ),
    Problem(
        "a 8:40; k 2:6",
        "{n}有{a}张[邮票|照片|画片]，{m}的张数是{n}的{k}倍。[{day}他们数了数，|]两人一共有多少张？",
        "{m}有<x=a*k>张。\n两人一共有<t=a+x>张。",
    ),
    Problem(
        "p 40:600:20; d 5:45:5",
        "[{place}商场里|{n}看中的]一[件外套|台风扇|个书包|盏台灯]原价{p}元，{day}降价百分之{d}。现在[卖|要付]多少元？",
        "降了<r=p*d/100>元。\n现价是<t=p-r>元。",
    ),
    Problem(
        "a 6:30; w 2:5; r 10:80",
        "{n}每天[读|看]{a}页书，{w}个星期后还剩{r}页没有看。这本[故事书|小说|科普书]一共多少页？",
        "一共看了<d=w*7>天。\n看了<x=a*d>页。\n全书有<t=x+r>页。",
    ),
    Problem(
        "y 6:14; k 2:5; z 3:10",
        "{n}今年{y}岁，[舅舅|姑姑|{m}的爷爷]的年龄是{n}的{k}倍还多3岁。{z}年后[这位长辈|那位长辈]多少岁？",
        "{k}倍是<x=y*k>岁。\n今年是<s=x+3>岁。\n{z}年后是<t=s+z>岁。",
    ),
    Problem(
        "a 20:60; b 4:15; d 6:20; c 3:9",
        "一辆公共汽车从{place}开出时有{a}人，第一站下去{b}人、上来{d}人，第二站又下去{c}人。[这时车上有|车上现在有]多少人？",
        "下车后剩<x=a-b>人。\n上车后有<y=x+d>人。\n最后有<t=y-c>人。",
    ),
    Problem(
        "r 8:25; c 6:20; d 10:40",
        "{place}的果园里有{r}行{fruit}树，每行{c}棵，{day}又[栽了|种下]{d}棵，[刮风刮倒了|砍掉了]5棵。{n}数一数，现在有多少棵？",
        "原有<x=r*c>棵。\n栽种后有<y=x+d>棵。\n现在有<t=y-5>棵。",
    ),
    Problem(
        "u 20:90:5; w 3:9; g 10:90:10; e 30:60",
        "{n}每月[存|攒]{u}元，存了{w}个月，{m}又给了{g}元，[{day}|后来]花掉{e}元买{item}。还剩多少元？",
        "存了<x=u*w>元。\n加上得到的共<y=x+g>元。\n还剩<t=y-e>元。",
    ),
    Problem(
        "h 4:9; d 3:6; r 15:40; b 20:90:10",
        "{n}[在{place}打工|做兼职]，每天工作{h}小时，做了{d}天，每小时{r}元，另有奖金{b}元。[共得|一共挣了]多少元？",
        "工作了<x=h*d>小时。\n工钱是<y=x*r>元。\n加奖金共<t=y+b>元。",
    ),
    Problem(
        "g 3:9; k 6:20; s = g*k; e 4:15",
        "{n}把{s}个{fruit}装袋，每袋{g}个，每袋卖{e}元。[{day}全部卖完|如果都卖掉]，能卖多少元？",
        "可以装<x=s/g>袋。\n能卖<t=x*e>元。",
    ),
    Problem(
        "a 4:15; b 3:7; d 4:9; c 20:60; e 5:19",
        "{place}的养鸡场有{a}只母鸡，每只每周下{b}个蛋，库存{c}个。{d}周后，碎了{e}个，其余每个卖2元，能卖多少元？",
        "每周下<p=a*b>个蛋。\n{d}周下<q=p*d>个。\n连库存有<r=q+c>个。\n完好的有<s=r-e>个。\n能卖<t=s*2>元。",
    ),
    Problem(
        "a 15:60:3; b 4:20",
        "[{place}合唱队|{n}的班级|{place}象棋社]有{a}人，其中三分之一[会游泳|戴眼镜|会弹琴]，{day}又[增加|多了]{b}个这样的人。现在这样的有几人？",
        "原来有<x=a/3>人。\n现在有<t=x+b>人。",
    ),
)


def _slots(random_source: random.Random) -> dict[str, str]:
    name, other = random_source.sample(_NAMES, 2)
    return {
        "n": name,
        "m": other,
        "place": random_source.choice(_PLACES),
        "item": random_source.choice(_ITEMS),
        "fruit": random_source.choice(_FRUIT),
        "day": random_source.choice(_DAYS),
    }


def _maker(number: int, problem: Problem) -> RowMaker:
    def make(random_source: random.Random) -> Row:
        values = draw_numbers(problem.draws, random_source)
        slots = _slots(random_source)
        shown = slots | {name: decimal_text(value) for name, value in values.items()}
        opener = random_source.choice(_OPENERS) if random_source.random() < 0.7 else ""
        solution, known = work_out(spin(problem.solution, random_source), values)
        answer = decimal_text(list(known.values())[-1])
        asked = spin(opener, random_source).format(**shown)
        return Row(
            template=f"math-zh-{number}",
            language="zh",
            instruction=asked + spin(problem.question, random_source).format(**shown),
            response=f"{solution.format(**shown)}\n#### {answer}",
            reference=answer,
        )

    return make


MAKERS: tuple[RowMaker, ...] = tuple(_maker(number, problem) for number, problem in enumerate(PROBLEMS))
