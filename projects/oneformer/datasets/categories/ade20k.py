"""The 150 classes of ADE20K (scene parsing): 100 things, 50 stuff."""
from .table import read_table

#: As in the panoptic JSON that Mask2Former's preparation makes, but without
#: the blank after 'window', which no text keeps. Skyscraper has the colour of
#: this JSON; elsewhere it has that of road.
CATEGORIES = read_table("""
  0 stuff 120 120 120 wall
  1 stuff 180 120 120 building
  2 stuff   6 230 230 sky
  3 stuff  80  50  50 floor
  4 stuff   4 200   3 tree
  5 stuff 120 120  80 ceiling
  6 stuff 140 140 140 road, route
  7 thing 204   5 255 bed
  8 thing 230 230 230 window
  9 stuff   4 250   7 grass
 10 thing 224   5 255 cabinet
 11 stuff 235 255   7 sidewalk, pavement
 12 thing 150   5  61 person
 13 stuff 120 120  70 earth, ground
 14 thing   8 255  51 door
 15 thing 255   6  82 table
 16 stuff 143 255 140 mountain, mount
 17 stuff 204 255   4 plant
 18 thing 255  51   7 curtain
 19 thing 204  70   3 chair
 20 thing   0 102 200 car
 21 stuff  61 230 250 water
 22 thing 255   6  51 painting, picture
 23 thing  11 102 255 sofa
 24 thing 255   7  71 shelf
 25 stuff 255   9 224 house
 26 stuff   9   7 230 sea
 27 thing 220 220 220 mirror
 28 stuff 255   9  92 rug
 29 stuff 112   9 255 field
 30 thing   8 255 214 armchair
 31 thing   7 255 224 seat
 32 thing 255 184   6 fence
 33 thing  10 255  71 desk
 34 stuff 255  41  10 rock, stone
 35 thing   7 255 255 wardrobe, closet, press
 36 thing 224 255   8 lamp
 37 thing 102   8 255 tub
 38 thing 255  61   6 rail
 39 thing 255 194   7 cushion
 40 stuff 255 122   8 base, pedestal, stand
 41 thing   0 255  20 box
 42 thing 255   8  41 column, pillar
 43 thing 255   5 153 signboard, sign
 44 thing   6  51 255 chest of drawers, chest, bureau, dresser
 45 thing 235  12 255 counter
 46 stuff 160 150  20 sand
 47 thing   0 163 255 sink
 48 stuff 140 140 200 skyscraper
 49 thing 250  10  15 fireplace
 50 thing  20 255   0 refrigerator, icebox
 51 stuff  31 255   0 grandstand, covered stand
 52 stuff 255  31   0 path
 53 thing 255 224   0 stairs
 54 stuff 153 255   0 runway
 55 thing   0   0 255 case, display case, showcase, vitrine
 56 thing 255  71   0 pool table, billiard table, snooker table
 57 thing   0 235 255 pillow
 58 thing   0 173 255 screen door, screen
 59 stuff  31   0 255 stairway, staircase
 60 stuff  11 200 200 river
 61 stuff 255  82   0 bridge, span
 62 thing   0 255 245 bookcase
 63 stuff   0  61 255 blind, screen
 64 thing   0 255 112 coffee table
 65 thing   0 255 133 toilet, can, commode, crapper, pot, potty, stool, throne
 66 thing 255   0   0 flower
 67 thing 255 163   0 book
 68 stuff 255 102   0 hill
 69 thing 194 255   0 bench
 70 thing   0 143 255 countertop
 71 thing  51 255   0 stove
 72 thing   0  82 255 palm, palm tree
 73 thing   0 255  41 kitchen island
 74 thing   0 255 173 computer
 75 thing  10   0 255 swivel chair
 76 thing 173 255   0 boat
 77 stuff   0 255 153 bar
 78 thing 255  92   0 arcade machine
 79 stuff 255   0 255 hovel, hut, hutch, shack, shanty
 80 thing 255   0 245 bus
 81 thing 255   0 102 towel
 82 thing 255 173   0 light
 83 thing 255   0  20 truck
 84 stuff 255 184 184 tower
 85 thing   0  31 255 chandelier
 86 thing   0 255  61 awning, sunshade, sunblind
 87 thing   0  71 255 street lamp
 88 thing 255   0 204 booth
 89 thing   0 255 194 tv
 90 thing   0 255  82 plane
 91 stuff   0  10 255 dirt track
 92 thing   0 112 255 clothes
 93 thing  51   0 255 pole
 94 stuff   0 194 255 land, ground, soil
 95 thing   0 122 255 bannister, banister, balustrade, balusters, handrail
 96 stuff   0 255 163 escalator, moving staircase, moving stairway
 97 thing 255 153   0 ottoman, pouf, pouffe, puff, hassock
 98 thing   0 255  10 bottle
 99 stuff 255 112   0 buffet, counter, sideboard
100 stuff 143 255   0 poster, posting, placard, notice, bill, card
101 stuff  82   0 255 stage
102 thing 163 255   0 van
103 thing 255 235   0 ship
104 thing   8 184 170 fountain
105 stuff 133   0 255 conveyer belt, conveyor belt, conveyer, conveyor, transporter
106 stuff   0 255  92 canopy
107 thing 184   0 255 washer, automatic washer, washing machine
108 thing 255   0  31 plaything, toy
109 stuff   0 184 255 pool
110 thing   0 214 255 stool
111 thing 255   0 112 barrel, cask
112 thing  92 255   0 basket, handbasket
113 stuff   0 224 255 falls
114 stuff 112 224 255 tent
115 thing  70 184 160 bag
116 thing 163   0 255 minibike, motorbike
117 stuff 153   0 255 cradle
118 thing  71 255   0 oven
119 thing 255   0 163 ball
120 thing 255 204   0 food, solid food
121 thing 255   0 143 step, stair
122 stuff   0 255 235 tank, storage tank
123 thing 133 255   0 trade name
124 thing 255   0 235 microwave
125 thing 245   0 255 pot
126 thing 255   0 122 animal
127 thing 255 245   0 bicycle
128 stuff  10 190 212 lake
129 thing 214 255   0 dishwasher
130 thing   0 204 255 screen
131 stuff  20   0 255 blanket, cover
132 thing 255 255   0 sculpture
133 thing   0 153 255 hood, exhaust hood
134 thing   0  41 255 sconce
135 thing   0 255 204 vase
136 thing  41   0 255 traffic light
137 thing  41 255   0 tray
138 thing 173   0 255 trash can
139 thing   0 245 255 fan
140 stuff  71   0 255 pier
141 stuff 122   0 255 crt screen
142 thing   0 255 184 plate
143 thing   0  92 255 monitor
144 thing 184 255   0 bulletin board
145 stuff   0 133 255 shower
146 thing 255 214   0 radiator
147 thing  25 194 194 glass, drinking glass
148 thing 102 255   0 clock
149 thing  92   0 255 flag
""")  # noqa: E501
