# ruff: noqa: E501, SIM905 - tables of prose read best as one entry a line
"""Chinese general instructions: classifying, extracting, rewriting, summarising, comparing, listing, ordering."""

import json
import random

from examples.demo_lake.rows import Row, RowMaker, spin

_NAMES = "白露 陈默 邓超群 方圆 顾北 韩雪 江帆 柯南星 林默 马骁 宁静 潘悦 秦川 任远 沈括明 田野 魏来 夏雨荷 杨帆 祝福".split()
_PLACES = "临江市 松岭县 望海镇 金沙湾 枫桥 白鹭洲 长青街 月亮湖 石门 银杏路".split()
_DAYS = "周一 周二 周三 周四 周五 周六 周日".split()
_PRODUCTS = "电热水壶 双肩包 蓝牙耳机 台灯 雨衣 行李箱 机械键盘 电风扇 保温杯 吸尘器 睡袋 榨汁机".split()
_ASPECTS = (
    ("电池", "能用好几天", "半天就没电"), ("屏幕", "阳光下也很清楚", "暗得看不清字"), ("做工", "精细结实", "粗糙得扎手"),
    ("说明书", "写得一目了然", "漏了关键的步骤"), ("包装", "完好无损", "送到时已经破了"), ("客服", "几分钟就回复", "一直没有人理"),
    ("价格", "很实惠", "贵得离谱"), ("声音", "轻得听不见", "吵得没法说话"), ("颜色", "和图片一样", "洗一次就褪了"), ("盖子", "拧得很紧", "一歪就漏水"),
)  # fmt: skip
_EVENTS = (
    "陶艺体验课 象棋比赛 旧书交换会 夜市 民乐演奏会 植树活动 电影之夜 烘焙课 诗歌朗诵会 风筝节 摄影展 义诊".split()
)
_VENUES = "老火车站 市图书馆 滨河公园 学校礼堂 植物园 文化馆 社区中心 体育馆".split()
_SITES = "仓库 面包房 客服中心 诊所 印刷厂 渡口 温室 档案室 食堂 修理厂".split()
_CAUSES = "水管爆裂 零件缺货 系统升级失败 突降大雪 人手不足 货箱贴错标签 道路封闭 许可证过期 停电".split()
_EFFECTS = (
    "订单推迟发货 来访的人只好在外面等 两台机器停了下来 电话全都打不通 货车被迫返回 一半的货物被搬走 夜班取消".split()
)
_REMEDIES = "安排备用人员 再找一家供应商 每月检查屋顶 多培训两个人 给货架重新编号 买一台发电机 写一份检查清单".split()
_REQUESTS = (
    ("合同", "快点给我", "劳烦尽快发送给我"), ("发票", "赶紧开一下", "敬请尽早开具"), ("报价单", "再看看便宜点", "恳请再次考虑优惠"),
    ("日程表", "改一下", "烦请予以调整"), ("样品", "寄两个来", "望能惠寄两件"), ("名单", "补全了没", "请问是否已补充完整"),
    ("照片", "挑几张好的", "请代为挑选几张佳作"), ("报告", "别再拖了", "请务必按时提交"),
)  # fmt: skip
_REASONS = (
    ("老板天天催", "上级多次询问"), ("我都急死了", "此事较为紧急"), ("客户要生气了", "客户十分关注进展"),
    ("我那份弄丢了", "我方存档不慎遗失"), ("后面还一堆事", "后续工作亟待安排"), ("数字好像不对", "部分数据有待核实"),
)  # fmt: skip
_FOODS = {
    "豆腐": ("黄豆", "清淡软嫩", "煮汤或红烧"), "米粉": ("大米", "爽滑有弹性", "配辣汤"), "月饼": ("面粉和豆沙", "香甜厚实", "中秋时分着吃"),
    "粽子": ("糯米和竹叶", "黏软带清香", "端午时蒸热吃"), "馒头": ("小麦面粉", "松软微甜", "早上配咸菜"), "凉皮": ("面浆", "酸辣清爽", "夏天拌黄瓜丝"),
    "年糕": ("糯米粉", "软糯有嚼劲", "切片炒青菜"), "饺子": ("面皮和肉馅", "鲜美多汁", "蘸醋"), "豆花": ("豆浆", "细滑如脂", "加糖水或辣油"),
    "春卷": ("薄面皮和蔬菜", "外酥里嫩", "趁热蘸酱"),
}  # fmt: skip
_PACKING = {
    "爬山": "水，用来解渴|地图，以防迷路|雨衣，防备阵雨|创可贴，处理水泡|干粮，补充体力|帽子，遮挡太阳",
    "搬进新房": "灯泡，照亮房间|螺丝刀，组装家具|垃圾袋，收拾包装|热水壶，烧水喝茶|折叠椅，累了可以坐",
    "坐夜车": "耳塞，挡住噪音|薄毯，抵御寒气|充电宝，给手机充电|牙刷，早上洗漱|一本书，打发时间",
    "摆摊": "零钱，方便找零|价签，看得明白|桌布，显得整齐|遮阳伞，挡雨防晒|袋子，给顾客装货",
    "带孩子野餐": "湿纸巾，擦手|防晒霜，保护皮肤|水果，当作点心|皮球，做游戏|厚垫子，隔开湿草地",
    "冬天开车出远门": "毛毯，停车时保暖|铲子，清除积雪|手电筒，走夜路|热茶，暖身子|搭电线，应付没电",
}


def _row(kind: str, instruction: str, response: str) -> Row:
    return Row(template=f"general-zh-{kind}", language="zh", instruction=instruction, response=response)


def _review(r: random.Random) -> Row:
    picks = r.sample(_ASPECTS, r.randint(3, 4))
    praise = [r.random() < 0.5 for _ in picks]
    text = "，".join(name + (good if liked else bad) for (name, good, bad), liked in zip(picks, praise, strict=True))
    score = sum(praise) * 2 - len(picks)
    label = "正面" if score > 0 else "负面" if score < 0 else "褒贬参半"
    good = "、".join(pick[0] for pick, liked in zip(picks, praise, strict=True) if liked) or "无"
    bad = "、".join(pick[0] for pick, liked in zip(picks, praise, strict=True) if not liked) or "无"
    asked = spin("[判断下面评论的情感并说明理由|这条评论是正面还是负面，为什么|请给评论分类并解释]：", r)
    return _row(
        "review",
        f"{asked}{r.choice(_PLACES)}的{r.choice(_NAMES)}买了{r.choice(_PRODUCTS)}，{text}。",
        f"{label}。优点：{good}；缺点：{bad}。",
    )


def _extract(r: random.Random) -> Row:
    event, place, venue, host = (r.choice(options) for options in (_EVENTS, _PLACES, _VENUES, _NAMES))
    date, hour, fee = f"{r.randint(1, 12)}月{r.randint(1, 28)}日", r.randint(8, 20), r.randint(5, 60)
    text = spin(
        f"[好消息！|各位居民：|通知：]{event}[定于|将在]{date}{hour}点[，在|，于]{place}{venue}举行，由{host}[主持|负责]，门票{fee}元[，风雨无阻|]。",
        r,
    )
    facts = {
        "活动": event,
        "日期": date,
        "时间": f"{hour}点",
        "地点": place + venue,
        "负责人": host,
        "票价": f"{fee}元",
    }
    if r.random() < 0.5:
        return _row("extract-json", "请把通知里的信息提取为JSON：" + text, json.dumps(facts, ensure_ascii=False))
    return _row("extract", "请逐行列出通知中的要点：" + text, "\n".join(f"{k}：{v}。" for k, v in facts.items()))


def _formal(r: random.Random) -> Row:
    a, b = r.sample(_NAMES, 2)
    (thing, casual, formal), (reason, polite), (reason2, polite2) = r.choice(_REQUESTS), *r.sample(_REASONS, 2)
    asked = spin("[把这句话改写成正式的书面语|请改得礼貌一些|把口语改成商务邮件]：", r)
    day = r.choice(_DAYS)
    text = f"{a}啊，{r.choice(_PLACES)}那份{thing}{casual}，{day}前要，{reason}，{reason2}。{b}"
    return _row(
        "formal",
        asked + text,
        f"{a}您好：\n关于{thing}，{formal}，最迟{day}之前。因{polite}，且{polite2}，多有打扰。\n{b}敬上。",
    )


def _summary(r: random.Random) -> Row:
    site, place, day, name, cause, effect = (
        r.choice(options) for options in (_SITES, _PLACES, _DAYS, _NAMES, _CAUSES, _EFFECTS)
    )
    (one, two), hours = r.sample(_REMEDIES, 2), r.randint(2, 48)
    text = spin(
        f"{day}，{place}的{site}[遇到|发生了]{cause}[的情况|]，[结果|因此]{effect}。{name}[带人抢修|负责处理]，{hours}小时后恢复正常。"
        f"会上，{name}建议{one}，[同事们|大家]则主张{two}，[最后没有定下来|下周再表决|两个意见都记了下来]。",
        r,
    )
    asked = spin("[用一两句话概括这段文字|请写出这段报告的要点|把下面的内容缩短]：", r)
    return _row(
        "summary", asked + text, f"{place}的{site}因{cause}耽误了{hours}小时，{effect}；现有{one}和{two}两种建议。"
    )


def _compare(r: random.Random) -> Row:
    a, b = r.sample(sorted(_FOODS), 2)
    (raw_a, taste_a, eaten_a), (raw_b, taste_b, eaten_b) = _FOODS[a], _FOODS[b]
    asked = spin(
        f"{r.choice(_NAMES)}[在{r.choice(_PLACES)}问|想知道]：{a}和{b}[有什么不同|的区别在哪里|应当怎样区分]？[请简要回答|请从原料和口味说起|]",
        r,
    )
    return _row(
        "compare", asked, f"{a}用{raw_a}做成，{taste_a}，适合{eaten_a}；{b}用{raw_b}做成，{taste_b}，适合{eaten_b}。"
    )


def _packing(r: random.Random) -> Row:
    goal, count = r.choice(sorted(_PACKING)), r.randint(3, 4)
    asked = spin(
        f"{r.choice(_NAMES)}{r.choice(_DAYS)}要去{r.choice(_PLACES)}{goal}，[请列出|请说出|该带哪]{count}样[东西|物品]，[并说明用途|各有什么用]。",
        r,
    )
    chosen = r.sample(_PACKING[goal].split("|"), count)
    return _row("packing", asked, "\n".join(f"{number}. {thing}。" for number, thing in enumerate(chosen, 1)))


def _order(r: random.Random) -> Row:
    names = r.sample(_NAMES, r.randint(4, 6))
    points = r.sample(range(10, 99), len(names))
    what = r.choice(("得分", "票数", "步数", "页数", "积分"))
    pairs = "、".join(f"{name}{number}" for name, number in zip(names, points, strict=True))
    asked = spin(f"[请按{what}从高到低排列|把下面的人按{what}由多到少排序|谁的{what}最高？请依次排好]：{pairs}。", r)
    ranked = sorted(zip(points, names, strict=True), reverse=True)
    return _row("order", asked, "、".join(f"{name}（{number}）" for number, name in ranked) + "。")


MAKERS: tuple[RowMaker, ...] = (_review, _review, _extract, _formal, _summary, _summary, _compare, _packing, _order)
