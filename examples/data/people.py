"""Who the generator draws from: departments, places, names by culture, and the people with something special."""

FIRST_ID = 1001

DEPARTMENTS = {
    "Engineering": {"ou": "Engineering", "cost_center": "0410",
                    "titles": ["Engineer", "Senior Engineer", "Platform Engineer", "Test Engineer"]},
    "Sales": {"ou": "Sales", "cost_center": "0220",
              "titles": ["Account Executive", "Sales Representative", "Key Account Lead"]},
    "Marketing": {"ou": "Marketing", "cost_center": "0230",
                  "titles": ["Campaign Specialist", "Content Editor", "Brand Designer"]},
    "Finance": {"ou": "Finance", "cost_center": "0110",
                "titles": ["Accountant", "Controller", "Financial Analyst", "Payroll Specialist"]},
    "Human Resources": {"ou": "HR", "cost_center": "0120",
                        "titles": ["People Partner", "Recruiter", "Payroll Administrator"]},
    "Legal": {"ou": "Legal", "cost_center": "0130", "titles": ["Counsel", "Paralegal", "Privacy Officer"]},
    "Operations": {"ou": "Operations", "cost_center": "0510",
                   "titles": ["Shift Supervisor", "Logistics Planner", "Warehouse Associate", "Buyer"]},
    "Customer Support": {"ou": "Support", "cost_center": "0240",
                         "titles": ["Support Agent", "Senior Support Agent", "Support Engineer"]},
    "Information Technology": {"ou": "IT", "cost_center": "0420",
                               "titles": ["System Administrator", "Network Engineer", "Service Desk Agent"]},
    "Research": {"ou": "Research", "cost_center": "0430", "titles": ["Scientist", "Research Assistant", "Analyst"]},
}
DEPARTMENT_DRAW = (["Engineering"] * 5 + ["Sales"] * 4 + ["Operations"] * 4 + ["Customer Support"] * 3
                   + ["Finance"] * 2 + ["Marketing"] * 2 + ["Information Technology"] * 2 + ["Research"] * 2
                   + ["Human Resources", "Legal"])

LOCATIONS = {
    "New York": "America/New_York", "Austin": "America/Chicago", "San Francisco": "America/Los_Angeles",
    "São Paulo": "America/Sao_Paulo", "London": "Europe/London", "Berlin": "Europe/Berlin",
    "Kraków": "Europe/Warsaw", "Istanbul": "Europe/Istanbul", "Dubai": "Asia/Dubai", "Tel Aviv": "Asia/Jerusalem",
    "Pune": "Asia/Kolkata", "Hà Nội": "Asia/Ho_Chi_Minh", "Shanghai": "Asia/Shanghai", "Tokyo": "Asia/Tokyo",
    "Seoul": "Asia/Seoul", "Lagos": "Africa/Lagos",
}

MIDDLE = {
    "english": ["Rose", "James", "Anne", "Edward", "May", "Louise"],
    "american": ["Lee", "J.", "Marie", "Allen", "K.", "Grace"],
    "portuguese": ["Maria", "Luís", "de Jesus", "Aparecida"],
}

# A name in another script is written `native/romanized`.
CULTURES = {
    "american": {
        "locations": ["New York", "Austin", "San Francisco"],
        "first": "Aaron Brianna Caleb Dana Derek Erin Gavin Heather Jared Kelsey Logan Megan Nathan Paige Ross Tara "
                 "Trevor Vanessa Wesley Whitney".split(),
        "last": "Abbott Barlow Coleman Dawson Ellison Farley Garner Hobbs Ingram Jarvis Keller Lowry Mercer Norwood "
                "Osborn Pruitt Ramsey Stokes Tilley Whitlock".split(),
    },
    "english": {
        "locations": ["London"],
        "first": "Alfie Beatrice Clive Daphne Edmund Fiona Giles Harriet Imogen Jasper Nigel Phoebe Rupert Tabitha".split(),
        "last": ["Ashworth", "Blackwood", "Cartwright", "Dunmore", "Eastham", "Fairfax", "Greenhalgh", "Hartley-Brooke",
                 "Kingsley", "Lockwood", "O'Hara", "Pemberton", "St. Clair", "Thistlewood", "McAllister", "Mac Giolla"],
    },
    "german": {
        "locations": ["Berlin"],
        "first": ["Anke", "Björn", "Cäcilie", "Detlef", "Frauke", "Götz", "Heike", "Jörg", "Käthe", "Lutz", "Sönke",
                  "Ulrike", "Wolf-Dieter", "Hans-Jürgen"],
        "last": ["Müller", "Großmann", "Schröder", "Weiß", "Jäger", "von Hohenfeld", "Köhler", "Strauß", "Böttcher",
                 "Krämer", "zu Wiesental", "Hüttner", "Lange", "Scholz-Öztürk"],
    },
    "polish": {
        "locations": ["Kraków"],
        "first": ["Agnieszka", "Błażej", "Czesława", "Grzegorz", "Jędrzej", "Katarzyna", "Michał", "Świętosława",
                  "Wojciech", "Zdzisława", "Żaneta", "Łucja"],
        "last": ["Błaszczyk", "Ćwikła", "Dąbrowski", "Górecka", "Jędrzejczak", "Król", "Łęcki", "Majewska-Źdźbło",
                 "Ostrowska", "Śliwa", "Wójcik", "Żak"],
    },
    "turkish": {
        "locations": ["Istanbul"],
        "first": ["Ayşe", "Çağla", "Doğan", "Emine", "Gökçe", "Işıl", "İbrahim", "Oğuz", "Şule", "Ümit", "Yiğit"],
        "last": ["Aydın", "Çelik", "Demirtaş", "Güneş", "Işık", "İnan", "Kılıç", "Özkan", "Şahin", "Üstün", "Yıldız"],
    },
    "vietnamese": {
        "locations": ["Hà Nội"],
        "first": ["Bảo Ngọc", "Đức", "Hải Yến", "Khánh", "Lệ Thu", "Minh Quân", "Phương", "Thảo", "Tuấn", "Xuân"],
        "last": ["Nguyễn", "Trần", "Lê", "Phạm", "Đặng", "Bùi", "Đỗ", "Vũ", "Hoàng", "Lý"],
    },
    "spanish": {
        "locations": ["New York", "Austin"],
        "first": ["Begoña", "César", "Íñigo", "José María", "Lucía", "Martín", "Nuria", "Raúl", "Ximena", "Ángel"],
        "last": ["Álvarez Peña", "Castaño", "de la Cruz", "Gómez", "Ibáñez", "Muñoz", "Núñez", "Quiñones", "Ruiz-Tagle",
                 "Zúñiga"],
    },
    "portuguese": {
        "locations": ["São Paulo"],
        "first": ["Antônio", "Cecília", "Flávio", "Graça", "João", "Letícia", "Otávio", "Simão", "Thaís"],
        "last": ["Araújo", "Conceição", "da Silva", "dos Anjos", "Gonçalves", "Magalhães", "Pão-Alvo", "Simões"],
    },
    "dutch": {
        "locations": ["London", "Berlin"],
        "first": ["Anouk", "Diederik", "Fenna", "Joost", "Lieke", "Maarten", "Sjoerd", "Wietske"],
        "last": ["van der Berg", "ten Brinke", "de Wit", "'t Hooft-Maas", "van 't Veld", "Kuipers", "Ooijer"],
    },
    "nordic": {
        "locations": ["Berlin", "London"],
        "first": ["Åsa", "Bjørn", "Guðrún", "Jón", "Märta", "Søren", "Torbjörn", "Ægir"],
        "last": ["Ågren", "Bjørnstad", "Hafþórsdóttir", "Lindqvist", "Østergaard", "Sæther", "Þorvaldsson"],
    },
    "indian": {
        "locations": ["Pune"],
        "first": "Aarav Bhavna Chetan Divya Gaurav Ishita Kavya Lakshmi Nikhil Pooja Rohan Sunita".split(),
        "last": "Agarwal Bhattacharya Chaudhari Deshpande Iyer Joshi Kulkarni Mehta Nair Patil Rao Venkataraman".split(),
    },
    "nigerian": {
        "locations": ["Lagos"],
        "first": ["Adaeze", "Babatunde", "Chidi", "Folake", "Ifeoma", "Kelechi", "Olúwaṣeun", "Temitope"],
        "last": ["Adeyemi", "Balogun", "Chukwu", "Ezeudu", "Ogunleye", "Olawale", "Uzoma"],
    },
    "arabic": {
        "locations": ["Dubai"], "romanized": True,
        "first": ["ليلى/Layla", "يوسف/Yusuf", "فاطمة/Fatima", "خالد/Khalid", "نور/Nour", "سامي/Sami", "هدى/Huda"],
        "last": ["الحداد/Al-Haddad", "النجار/Al-Najjar", "بن راشد/bin Rashid", "الخطيب/El Khatib", "منصور/Mansour",
                 "عبد الرحيم/Abd al-Rahim"],
    },
    "hebrew": {
        "locations": ["Tel Aviv"], "romanized": True,
        "first": ["נועה/Noa", "איתן/Eitan", "תמר/Tamar", "גלעד/Gilad", "שירה/Shira", "אורי/Uri"],
        "last": ["לוי/Levi", "מזרחי/Mizrahi", "ברק/Barak", "בן-דוד/Ben-David", "שפירא/Shapira"],
    },
    "chinese": {
        "locations": ["Shanghai"], "romanized": True,
        "first": ["小红/Xiaohong", "志强/Zhiqiang", "丽娟/Lijuan", "建国/Jianguo", "雪梅/Xuemei", "伟/Wei", "晨曦/Chenxi",
                  "思远/Siyuan"],
        "last": ["张/Zhang", "陈/Chen", "刘/Liu", "赵/Zhao", "吴/Wu", "欧阳/Ouyang", "吕/Lü", "徐/Xu"],
    },
    "japanese": {
        "locations": ["Tokyo"], "romanized": True,
        "first": ["陽子/Yoko", "健太/Kenta", "美咲/Misaki", "翔太/Shota", "さくら/Sakura", "大輔/Daisuke", "ジュン/Jun"],
        "last": ["佐藤/Sato", "高橋/Takahashi", "渡辺/Watanabe", "小野寺/Onodera", "大野/Ohno", "斎藤/Saito"],
    },
    "korean": {
        "locations": ["Seoul"], "romanized": True,
        "first": ["민준/Min-jun", "서연/Seo-yeon", "지훈/Ji-hoon", "하은/Ha-eun", "도윤/Do-yun", "수빈/Su-bin"],
        "last": ["김/Kim", "이/Lee", "박/Park", "최/Choi", "정/Jeong", "남궁/Namgung"],
    },
    "ukrainian": {
        "locations": ["Kraków"], "romanized": True,
        "first": ["Олена/Olena", "Тарас/Taras", "Ганна/Hanna", "Юрій/Yurii", "Зоряна/Zoriana"],
        "last": ["Коваленко/Kovalenko", "Шевчук/Shevchuk", "Гнатюк/Hnatiuk", "Щербак/Shcherbak"],
    },
    "greek": {
        "locations": ["London"], "romanized": True,
        "first": ["Ελένη/Eleni", "Νίκος/Nikos", "Χρύσα/Chrysa", "Θάνος/Thanos"],
        "last": ["Παππάς/Pappas", "Ψαρράς/Psarras", "Ξένου/Xenou", "Γεωργίου/Georgiou"],
    },
}
CULTURE_DRAW = (["american"] * 6 + ["english"] * 4 + ["german"] * 4 + ["polish"] * 3 + ["turkish"] * 2
                + ["vietnamese"] * 2 + ["spanish"] * 2 + ["portuguese"] * 2 + ["dutch"] * 2 + ["nordic"] * 2
                + ["indian"] * 4 + ["nigerian"] * 2 + ["arabic", "hebrew", "chinese", "chinese", "japanese", "korean",
                                                       "ukrainian", "greek"])

LONG_SURNAME = "Featherstonehaugh-Cholmondeley-Marjoribanks-Wriothesley-Vane"

# The first is the head of the company, the next ten lead the departments in the order of DEPARTMENTS.
SPECIAL = [
    dict(first_name="Margaret", last_name="Holloway", department="Operations", title="Chief Executive Officer",
         location="New York"),
    dict(first_name="Rajiv", last_name="Menon", department="Engineering", title="Head of Engineering", location="Pune"),
    dict(first_name="Carla", last_name="Whitaker", department="Sales", title="Head of Sales", location="Austin"),
    dict(first_name="Jéssica", last_name="O'Neil-Núñez", department="Marketing", title="Head of Marketing",
         location="São Paulo"),
    dict(first_name="Ulf", last_name="Großkreutz-Weiß", department="Finance", title="Head of Finance",
         location="Berlin"),
    dict(first_name="Łukasz", last_name="Żółć", department="Human Resources", title="Head of People",
         location="Kraków"),
    dict(first_name="Eleanor", last_name="D'Angelo", department="Legal", title='General Counsel, "Corporate"',
         location="London"),
    dict(first_name="Tunde", last_name="Bankole", department="Operations", title="Head of Operations",
         location="Lagos"),
    dict(first_name="Şebnem", last_name="Yıldırım", department="Customer Support", title="Head of Support",
         location="Istanbul"),
    dict(first_name="Noël", last_name="N'Diaye", department="Information Technology", title="Head of IT",
         location="London"),
    dict(first_name="恵子", last_name="小林", first_name_romanized="Keiko", last_name_romanized="Kobayashi",
         department="Research", title="Head of Research", location="Tokyo"),
    # Names that test the rules.
    dict(first_name="小明", last_name="王", first_name_romanized="Xiaoming", last_name_romanized="Wang",
         department="Engineering", location="Shanghai"),
    dict(first_name="子涵", last_name="林", department="Research", location="Shanghai"),  # no romanised form
    dict(first_name="雨桐", last_name="黄", department="Sales", location="Shanghai"),  # no romanised form
    dict(first_name="一郎", last_name="田中", department="Operations", location="Tokyo"),  # no romanised form
    dict(first_name="Wiratmo", last_name="", department="Operations", location="London"),  # one name only
    dict(first_name="Suhartini", last_name="", department="Customer Support", location="Dubai"),  # one name only
    dict(first_name="", last_name="Madhavan", department="Engineering", location="Pune"),  # no first name
    dict(first_name="Alexandrina", last_name=LONG_SURNAME, department="Legal", location="London"),
    dict(first_name="Jan-Willem", last_name="van der Heijden-de Bruijn", department="Finance", location="Berlin"),
    dict(first_name="María José", middle_name="del Carmen", last_name="Fernández y Gutiérrez", department="Sales",
         location="Austin", preferred_name="Majo"),
    dict(first_name="Siobhán", last_name="Ó Súilleabháin", department="Customer Support", location="London"),
    dict(first_name="Seán", last_name="O’Rourke", department="Engineering", location="London"),  # a curly apostrophe
    dict(first_name="Abdul Rahman", last_name="bin Ismail", department="Finance", location="Dubai"),
    dict(first_name="Zoe\u0308", last_name="Castan\u0303eda", department="Marketing",  # decomposed marks
         location="Austin"),
    dict(first_name="Ngozi", last_name="Okafor", department="Finance", location="Lagos"),
    # The same names: logins smithj, smithj2, ...; day two brings a second John to Engineering.
    dict(first_name="John", last_name="Smith", department="Engineering", title="Engineer", location="New York"),
    dict(first_name="Jane", last_name="Smith", department="Engineering", title="Engineer", location="New York"),
    dict(first_name="Jack", last_name="Smith", department="Sales", location="Austin"),
    dict(first_name="Anna", last_name="Müller", department="Finance", location="Berlin"),
    dict(first_name="Anna", last_name="Müller", department="Research", location="Berlin"),
    dict(first_name="Anna", last_name="Mueller", department="Legal", location="New York"),
    # Text that breaks careless readers.
    dict(first_name="Gordon", last_name="Ives", department="Engineering", location="London",
         title="Engineer\non call lead"),
    dict(first_name="Priya", last_name="Raghunathan", department="Research", location="Pune",
         title='Director, "Special" Projects, APAC'),
    dict(first_name="Olivier", last_name="Lemaître", department="Marketing", location="London",
         title="=Creative Lead; EMEA"),
    # Standing.
    dict(first_name="Marcus", last_name="Feldmann", department="Sales", location="Berlin", title="Account Executive",
         status="terminated", hire_date="2017-03-01", end_date="2026-08-31"),
    dict(first_name="Dolores", last_name="Haverford", department="Finance", location="New York", title="Controller",
         status="leave"),
    dict(first_name="Kwame", last_name="Asante-Boateng", department="Operations", location="London",
         status="suspended"),
    dict(first_name="Ines", last_name="Kofler", department="Information Technology", location="Berlin",
         title="Contractor", employment_type="contractor", hire_date="2026-05-04", end_date="2026-11-02"),
    dict(first_name="Piotr", last_name="Zięba", department="Engineering", location="Kraków", title="Contractor",
         employment_type="contractor", hire_date="2026-02-02", end_date="2026-12-31"),
    dict(first_name="Thandiwe", last_name="Mokoena", department="Customer Support", location="London",
         title="Support Agent", hire_date="2026-11-03"),
]
REHIRE = str(FIRST_ID + next(i for i, p in enumerate(SPECIAL) if p["last_name"] == "Feldmann"))

# What stands differently for some of the drawn people.
DAY_ONE_STANDING = {
    "1097": dict(status="terminated", end_date="2026-09-30"),
    "1158": dict(status="terminated", end_date="2026-10-16"),
    "1213": dict(status="terminated", end_date="2026-10-31"),
    "1277": dict(status="active", end_date="2026-10-30"),
    "1334": dict(status="terminated", end_date="2025-12-31"),
    "1402": dict(status="suspended"),
}

# Hire date and title of the last ten of day one: none of them has an account before the date.
FUTURE_HIRES = [
    ("2026-11-09", "Engineer"), ("2026-11-09", "Support Agent"), ("2026-11-16", "Accountant"),
    ("2026-11-16", "Sales Representative"), ("2026-12-01", "Scientist"), ("2026-12-01", "Buyer"),
    ("2026-12-01", "Network Engineer"), ("2027-01-04", "Recruiter"), ("2027-01-04", "Engineer"),
    ("2027-02-01", "Graduate Trainee"),
]

# New on day two.
JOINERS = [
    dict(first_name="John", last_name="Smith", department="Engineering", title="Test Engineer", location="New York"),
    dict(first_name="Amelia", last_name="Rowntree", department="Sales", location="London"),
    dict(first_name="Hüseyin", last_name="Çakır", department="Operations", location="Istanbul"),
    dict(first_name="Brígida", last_name="Vasconcelos", department="Marketing", location="São Paulo"),
    dict(first_name="梓轩", last_name="周", first_name_romanized="Zixuan", last_name_romanized="Zhou",
         department="Engineering", location="Shanghai"),
    dict(first_name="Quỳnh", last_name="Trương", department="Customer Support", location="Hà Nội"),
    dict(first_name="Callum", last_name="McTavish", department="Finance", location="London"),
    dict(first_name="Oluwadamilola", last_name="Akinfenwa-Johnson", department="Legal", location="Lagos"),
    dict(first_name="Petra", last_name="Vogelsang", department="Human Resources", location="Berlin"),
    dict(first_name="Mei", last_name="Tan", department="Research", location="Tokyo", title="Contractor",
         employment_type="contractor", end_date="2027-04-30"),
    dict(first_name="Elif", last_name="Koç", department="Information Technology", location="Istanbul"),
    dict(first_name="Jonas", last_name="Brandstätter", department="Engineering", location="Berlin",
         hire_date="2026-12-01"),
]

# The login of a mailbox that nobody in HR owns, and that Ngozi Okafor would get.
OCCUPIED_LOGIN = "okaforn"
